/**
 * A small HTTP/1.1 client for stores (RFC 9110, RFC 9112).
 *
 * What holds for every request: it ends when its signal is aborted, whatever it waits for; it follows at most two redirects,
 * and none to another host, which would be handed the token; what it reads is bounded; and every failure is a
 * StunmeshError that names the service and says what to do, without credentials. Deadlines and retries are not its
 * business (src/plugins/wrappers), with one exception: a kept connection that the service had just closed.
 */
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import type { Clock } from "../clock.ts";
import { StunmeshError } from "../errors.ts";
import { type HttpAgents, openHttpAgents } from "./http-agent.ts";
import { statusError, transportError } from "./http-errors.ts";
import { readLines } from "./http-lines.ts";
import type { ProxyEnv } from "./http-proxy.ts";

const DEFAULT_MAX_BYTES = 64 * 1024;
const MAX_REDIRECTS = 2;
/** A pool may hold several connections that the service closed at the same moment. */
const MAX_STALE_CONNECTIONS = 3;
/** TCP keepalive on answers that stay open: finds out that the other side has gone, and keeps NAT mappings. */
const STREAM_KEEPALIVE_MS = 30_000;

export interface HttpRequest {
  readonly url: URL;
  /** @default "GET" */
  readonly method?: string;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly signal: AbortSignal;
  /** For messages: "Cannot <action>: why". */
  readonly action: string;
}

export interface HttpReply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** An answer that is read line by line, while it comes. Read it to the end, or leave the loop, or abort the request. */
export interface HttpLines {
  readonly headers: IncomingHttpHeaders;
  readonly lines: AsyncGenerator<string>;
}

export interface HttpClient {
  /**
   * Sends a request and reads the whole answer. Resolves for a status of 200 to 299 and those in `expect`. Throws
   * STORE_UNAVAILABLE, STORE_FAILED or STORE_REPLY_INVALID; rejects with the signal's reason when aborted.
   */
  send(request: HttpRequest & { readonly expect?: readonly number[]; readonly maxBytes?: number }): Promise<HttpReply>;
  /** Sends a request and resolves when a status of 200 to 299 has come. Throws as `send` does, also from the lines. */
  open(request: HttpRequest & { readonly maxLineBytes: number; readonly maxBytes?: number }): Promise<HttpLines>;
  /** Closes every connection; requests under way fail. */
  close(): void;
}

interface HttpClientOptions {
  readonly clock: Clock;
  /** Hidden wherever the words of the service are quoted. */
  readonly secrets?: readonly string[];
  /** Where the proxy variables are looked up. @default process.env */
  readonly env?: ProxyEnv;
  /** Certificates of authorities (PEM) to trust instead of those Node knows. */
  readonly ca?: string;
}

/** Opens a client with connections of its own. Connects to nothing yet. */
export function openHttpClient({ clock, secrets = [], env = process.env, ca }: HttpClientOptions): HttpClient {
  let agents: Promise<HttpAgents> | undefined;
  let isClosed = false;

  /** The head of the answer, after redirects. */
  async function ask(request: HttpRequest): Promise<{ readonly reply: IncomingMessage; readonly url: URL }> {
    const { signal } = request;
    signal.throwIfAborted();
    if (isClosed) throw new StunmeshError("STORE_UNAVAILABLE", "the store is closed");
    agents ??= openHttpAgents({ env, ca });
    const opened = await agents;
    let { url } = request;
    for (let redirects = 0; ; redirects++) {
      signal.throwIfAborted();
      const reply = await askOnce(opened, { ...request, url });
      const next = redirects < MAX_REDIRECTS ? redirectOf(reply, { ...request, url }) : undefined;
      if (!next) return { reply, url };
      reply.destroy();
      url = next;
    }
  }

  /** Runs `work`; what it throws becomes an error of ours, or the reason of the signal. */
  async function guarded<T>(request: HttpRequest, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (request.signal.aborted) throw request.signal.reason;
      throw isFinal(error) ? error : transportError(error, request);
    }
  }

  async function failOf(
    reply: IncomingMessage,
    { request, url }: { readonly request: HttpRequest; readonly url: URL },
  ) {
    const status = reply.statusCode ?? 0;
    // What it says is only for the message: a part will do.
    const bytes = await readBody(reply, { maxBytes: 8192 }).catch(() => Buffer.alloc(0));
    const shown = [...secrets, request.body ?? ""];
    const text = bytes.toString("utf8");
    const { action } = request;
    return statusError({ url, action, status, headers: reply.headers, text, secrets: shown, nowMs: clock.now() });
  }

  return {
    send: (request) =>
      guarded(request, async () => {
        const { reply, url } = await ask(request);
        const { statusCode: status = 0, headers } = reply;
        if (!isSuccess(status) && !request.expect?.includes(status)) throw await failOf(reply, { request, url });
        checkEncoding(reply);
        const bytes = await readBody(reply, { maxBytes: request.maxBytes ?? DEFAULT_MAX_BYTES });
        return { status, headers, text: decodeText(bytes) };
      }),
    open: (request) =>
      guarded(request, async () => {
        const { reply, url } = await ask(request);
        if (!isSuccess(reply.statusCode ?? 0)) throw await failOf(reply, { request, url });
        checkEncoding(reply);
        reply.socket.setKeepAlive(true, STREAM_KEEPALIVE_MS);
        async function* lines() {
          try {
            yield* readLines(reply, request);
          } catch (error) {
            if (request.signal.aborted) throw request.signal.reason;
            throw transportError(error, { ...request, url });
          }
        }
        return { headers: reply.headers, lines: lines() };
      }),
    close() {
      isClosed = true;
      void agents?.then((opened) => opened.close());
    },
  };
}

/** Errors that already name the service and the operation. */
function isFinal(error: unknown): boolean {
  return error instanceof StunmeshError && error.message.startsWith("Cannot ");
}

function isSuccess(status: number): boolean {
  return status >= 200 && status < 300;
}

async function askOnce(agents: HttpAgents, request: HttpRequest): Promise<IncomingMessage> {
  for (let stale = 0; ; stale++) {
    const { reply, error, isReused } = await sendRequest(agents, request);
    if (reply) return reply;
    // The service had closed the connection when the request arrived: it has not seen it.
    const wasStale = isReused && isBrokenOff(error) && !request.signal.aborted && !agents.isClosed;
    if (!wasStale || stale >= MAX_STALE_CONNECTIONS) throw error;
  }
}

interface Outcome {
  readonly reply?: IncomingMessage;
  readonly error?: unknown;
  readonly isReused: boolean;
}

function sendRequest(agents: HttpAgents, request: HttpRequest): Promise<Outcome> {
  const { url, method = "GET", headers = {}, body, signal } = request;
  return new Promise((resolve) => {
    const length = body === undefined ? undefined : { "content-length": String(Buffer.byteLength(body)) };
    const outgoing = agents.begin(url, {
      method,
      headers: { "user-agent": "stunmesh-ts", accept: "*/*", "accept-encoding": "identity", ...length, ...headers },
      signal,
    });
    const fail = (error: unknown) => resolve({ error, isReused: outgoing.reusedSocket });
    const onAbort = () => {
      outgoing.destroy();
      fail(signal.reason);
    };
    signal.addEventListener("abort", onAbort, { once: true });
    outgoing.once("response", (reply) => resolve({ reply, isReused: outgoing.reusedSocket }));
    outgoing.on("error", fail);
    // After the answer was read to its end, or when nothing more will come.
    outgoing.once("close", () => {
      signal.removeEventListener("abort", onAbort);
      fail(new Error("the connection was closed without an answer"));
    });
    outgoing.end(body);
  });
}

function isBrokenOff(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE");
}

/** Where to ask again; undefined when the answer is no redirect, or none that is followed. */
function redirectOf(reply: IncomingMessage, { url, method = "GET" }: HttpRequest): URL | undefined {
  const { statusCode = 0, headers } = reply;
  // 301 to 303 make anything but a GET into a GET, which would store nothing and look like success.
  const followed = method === "GET" ? [301, 302, 303, 307, 308] : [307, 308];
  if (!followed.includes(statusCode) || !headers.location || !URL.canParse(headers.location, url.href))
    return undefined;
  const next = new URL(headers.location, url);
  next.username = url.username;
  next.password = url.password;
  const isUpgrade = url.protocol === "http:" && next.protocol === "https:" && !url.port && !next.port;
  const isSameHost = next.hostname === url.hostname && (next.origin === url.origin || isUpgrade);
  return isSameHost ? next : undefined;
}

function checkEncoding({ headers }: IncomingMessage): void {
  const encoding = headers["content-encoding"] ?? "identity";
  if (encoding === "identity") return;
  const named = /^[\w, -]{1,40}$/.test(encoding) ? ` as "${encoding}"` : "";
  throw new StunmeshError("STORE_REPLY_INVALID", `its answer is encoded${named}, which was not asked for`);
}

async function readBody(reply: IncomingMessage, { maxBytes }: { readonly maxBytes: number }): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of reply as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    // Leaving the loop this way closes the connection.
    if (length > maxBytes) {
      throw new StunmeshError("STORE_REPLY_INVALID", `its answer has more than ${Math.floor(maxBytes / 1024)} KiB`);
    }
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new StunmeshError("STORE_REPLY_INVALID", "its answer is not UTF-8 text", { cause });
  }
}
