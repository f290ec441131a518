/**
 * Answers GET /metrics over HTTP, where the configuration says so. It is read by whoever can reach the port: names and
 * addresses are in it, no secrets.
 *
 * It is no reason for the daemon to fail: an address that cannot be used is a warning, and is tried again with the next
 * reload. Every connection has one request and ten seconds, and there are few of them.
 */
import type { IncomingMessage, OutgoingHttpHeaders, Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { hostname } from "node:os";
import type { Clock } from "../clock.ts";
import type { MetricsConfig } from "../config/types.ts";
import { createFailureLog } from "../failures.ts";
import type { Log } from "../log.ts";
import { oneAtATime } from "./one-at-a-time.ts";
import { isOwnHost } from "./own-host.ts";
import { PROMETHEUS_CONTENT_TYPE } from "./prometheus-text.ts";

const MAX_CONNECTIONS = 16;
const MAX_HEADER_BYTES = 8 * 1024;
/** Who asks within this time of another gets the same text: anybody may ask, and it is a megabyte with a thousand peers. */
const SHARED_MS = 250;
/** For a whole connection: a reader that is slower than this does not get everything. */
const CONNECTION_MS = 10_000;

export interface MetricsListener {
  /** Where it listens, once it does: "127.0.0.1:9586". */
  address(): string | undefined;
  /** Listens there from now on, and nowhere else; undefined = nowhere. Tries again what failed before. Never rejects. */
  use(listen: MetricsConfig | undefined): Promise<void>;
  close(): Promise<void>;
}

interface MetricsListenerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** The metrics of this moment. */
  text(): Promise<string>;
}

interface Listening {
  readonly listen: MetricsConfig;
  readonly server: Server;
  readonly sockets: ReadonlySet<Socket>;
}

export function createMetricsListener({ clock, log, text }: MetricsListenerOptions): MetricsListener {
  const failures = createFailureLog(log);
  let shared: { readonly text: Promise<string>; readonly atMs: number } | undefined;
  let current: Listening | undefined;
  let changing = Promise.resolve();

  function sharedText(): Promise<string> {
    const nowMs = clock.monotonic();
    if (!shared || nowMs - shared.atMs >= SHARED_MS) shared = { text: text(), atMs: nowMs };
    // A failure is nobody else's.
    shared.text.catch(() => {
      shared = undefined;
    });
    return shared.text;
  }

  async function answer({ method, url = "", headers }: IncomingMessage, response: ServerResponse): Promise<void> {
    if (!isOwnHost(headers.host, hostname())) {
      return reply(response, { status: 421, body: "Ask for this host by its address or its own name\n" });
    }
    const [path] = url.split("?", 1);
    if (path !== "/metrics") return reply(response, { status: 404, body: "Metrics are at /metrics\n" });
    if (method !== "GET")
      return reply(response, { status: 405, body: "Only GET is possible\n", headers: { Allow: "GET" } });
    try {
      const body = await sharedText();
      reply(response, { status: 200, body, headers: { "Content-Type": PROMETHEUS_CONTENT_TYPE } });
      failures.ended("text", { message: "metrics can be read again" });
    } catch (error) {
      failures.failed("text", error, { message: "metrics cannot be read" });
      reply(response, { status: 500, body: "The log says why there are no metrics\n" });
    }
  }

  async function open(listen: MetricsConfig): Promise<Listening> {
    // 3 MB that a daemon without metrics need not pay.
    const { createServer } = await import("node:http");
    const sockets = new Set<Socket>();
    const server = createServer(
      { maxHeaderSize: MAX_HEADER_BYTES, keepAlive: false },
      oneAtATime((request, response) => void answer(request, response)),
    );
    server.maxConnections = MAX_CONNECTIONS;
    server.on("connection", (socket) => {
      sockets.add(socket);
      const over = new AbortController();
      socket.once("close", () => {
        sockets.delete(socket);
        over.abort();
      });
      clock.sleep(CONNECTION_MS, over.signal).then(
        () => socket.destroy(),
        () => undefined,
      );
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(listen.port, listen.host, resolve);
    });
    // Accepting may fail later, for want of descriptors: the next connection is accepted again.
    server.on("error", (error) => log.debug({ err: error.message }, "metrics connection not accepted"));
    return { listen, server, sockets };
  }

  async function close(): Promise<void> {
    const closing = current;
    current = undefined;
    if (!closing) return;
    const closed = new Promise<void>((resolve) => closing.server.close(() => resolve()));
    for (const socket of closing.sockets) socket.destroy();
    await closed;
  }

  async function change(listen: MetricsConfig | undefined): Promise<void> {
    if (listen && current && listen.host === current.listen.host && listen.port === current.listen.port) return;
    await close();
    if (!listen) return;
    try {
      current = await open(listen);
      failures.ended("listen", { message: "metrics can be read again" });
      log.debug({ path: formatAddress(current.server) ?? "" }, "metrics can be read");
    } catch (error) {
      failures.failed("listen", error, { message: "metrics cannot be read" });
    }
  }

  function enqueue(step: () => Promise<void>): Promise<void> {
    changing = changing.then(step);
    return changing;
  }

  return {
    address: () => current && formatAddress(current.server),
    use: (listen) => enqueue(() => change(listen)),
    close: () => enqueue(close),
  };
}

function reply(
  response: ServerResponse,
  { status, body, headers }: { readonly status: number; readonly body: string; readonly headers?: OutgoingHttpHeaders },
): void {
  const common = { "Content-Type": "text/plain; charset=utf-8", Connection: "close" };
  response.writeHead(status, { ...common, ...headers }).end(body);
}

function formatAddress(server: Server): string | undefined {
  const address = server.address();
  if (typeof address !== "object" || !address) return undefined;
  return address.family === "IPv6" ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
}
