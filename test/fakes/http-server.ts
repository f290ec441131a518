/** HTTP servers for tests, on loopback: one that answers as it is told, one that keeps values by the `http` protocol, a proxy. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { TestContext } from "node:test";

export interface FakeServer {
  /** Without a slash at its end. */
  readonly url: string;
  readonly port: number;
  /** "METHOD path" of the requests so far. */
  readonly requests: readonly string[];
  /** Headers of the last request. */
  lastHeaders(): IncomingMessage["headers"];
  /** Connections opened so far. */
  readonly connections: number;
  /** Breaks every connection and refuses new ones. */
  stop(): Promise<void>;
}

interface ServeOptions {
  /** @default any free one */
  readonly port?: number;
  /** Key and certificate (PEM): the server speaks TLS. */
  readonly tls?: { readonly key: string; readonly cert: string };
}

/** A server that answers by `listener` until the test ends. */
export async function serve(
  t: TestContext,
  listener: RequestListener,
  options: ServeOptions = {},
): Promise<FakeServer> {
  const requests: string[] = [];
  let connections = 0;
  let headers: IncomingMessage["headers"] = {};
  const note: RequestListener = (request, response) => {
    requests.push(`${request.method} ${request.url}`);
    headers = request.headers;
    listener(request, response);
  };
  const server: Server = options.tls ? createSecureServer(options.tls, note) : createServer(note);
  server.on(options.tls ? "secureConnection" : "connection", () => connections++);
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  async function stop() {
    if (!server.listening) return;
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    await closed;
  }
  t.after(stop);
  return {
    url: `${options.tls ? "https" : "http"}://127.0.0.1:${port}`,
    port,
    requests,
    lastHeaders: () => headers,
    get connections() {
      return connections;
    },
    stop,
  };
}

export interface FakeValues {
  readonly listener: RequestListener;
  readonly values: Map<string, string>;
}

/** A service that does what docs/plugins.md demands of one for the `http` plugin; long polls end when a value is put. */
export function createFakeValues(): FakeValues {
  const values = new Map<string, string>();
  let waiting: (() => void)[] = [];

  function answer(response: ServerResponse, value: string | undefined, since: string | null): boolean {
    const version = value === undefined ? "" : createHash("sha1").update(value).digest("hex");
    if (since !== null && version === since) return false;
    if (value === undefined) response.writeHead(404).end();
    else response.writeHead(200, { "content-type": "text/plain; charset=utf-8", etag: `"${version}"` }).end(value);
    return true;
  }

  async function listener(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "", "http://fake");
    const key = url.pathname.split("/").at(-1) ?? "";
    if (request.method === "PUT") {
      values.set(key, Buffer.concat(await request.toArray()).toString("utf8"));
      response.writeHead(204).end();
      const woken = waiting;
      waiting = [];
      for (const wake of woken) wake();
      return;
    }
    const since = url.searchParams.get("since");
    const tryAgain = () => {
      if (!response.destroyed && !answer(response, values.get(key), since)) waiting.push(tryAgain);
    };
    tryAgain();
  }
  return { values, listener: (request, response) => void listener(request, response) };
}

export interface FakeProxy {
  readonly url: string;
  /** What was asked for: "CONNECT host:port" or "GET http://...". */
  readonly requests: readonly string[];
  /** Proxy-Authorization of the last request. */
  readonly authorization: () => string | undefined;
}

/** A proxy that passes everything on; `status` refuses tunnels instead, 0 never answers. */
export async function serveProxy(
  t: TestContext,
  { status = 200 }: { readonly status?: number } = {},
): Promise<FakeProxy> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  let authorization: string | undefined;
  const server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    authorization = request.headers["proxy-authorization"];
    response.writeHead(200, { "content-type": "text/plain" }).end("by proxy");
  });
  server.on("connect", (request: IncomingMessage, socket: Socket) => {
    requests.push(`CONNECT ${request.url}`);
    authorization = request.headers["proxy-authorization"];
    sockets.add(socket);
    socket.on("error", () => undefined);
    if (status === 0) return;
    if (status !== 200) {
      socket.end(`HTTP/1.1 ${status} No\r\n\r\n`);
      return;
    }
    const target = connect(Number(request.url?.split(":").at(-1)), "127.0.0.1");
    sockets.add(target);
    target.on("error", () => socket.destroy());
    target.once("connect", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      target.pipe(socket).pipe(target);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests, authorization: () => authorization };
}
