/**
 * The control socket: HTTP/1.1 with JSON over a Unix socket, for the commands of this program, curl and scripts. The mode of
 * the file is all that guards it (socket.ts).
 *
 * Nothing that comes in may hurt the daemon: requests are small and few, every one has its time, and who reads events too
 * slowly is cut off.
 */
import { once, setMaxListeners } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Clock } from "../clock.ts";
import { settledWithin } from "../deadline.ts";
import { describeError, isAbort } from "../errors.ts";
import type { Log } from "../log.ts";
import { printableJson } from "../printable.ts";
import { oneAtATime } from "./one-at-a-time.ts";
import { answer, type Controlled, type Reply, refuse } from "./routes.ts";
import { type BindOptions, bindControlSocket } from "./socket.ts";

const MAX_HEADER_BYTES = 8 * 1024;
/** No request has a body; some programs send an empty one, or one of spaces. */
const MAX_BODY_BYTES = 1024;
const MAX_CONNECTIONS = 32;
const MAX_EVENT_READERS = 8;
/** What may wait for one reader of events. */
const MAX_WAITING_BYTES = 256 * 1024;
const HEADERS_MS = 5_000;
const REQUEST_MS = 10_000;
/** For taking an answer. */
const SEND_MS = 10_000;
const KEEP_ALIVE_MS = 5_000;

type Finite = Exclude<Reply, { readonly events: true }>;

export interface ControlServer {
  readonly path: string;
  /** Ends every connection and removes the file. */
  close(): Promise<void>;
}

/** Opens the control socket. Throws CONTROL_UNAVAILABLE. */
export async function openControlServer(
  controlled: Controlled,
  { log, clock, ...bind }: BindOptions & { readonly log: Log; readonly clock: Clock },
): Promise<ControlServer> {
  // When it is needed, not at the start: it takes longer to load than to send the first packet.
  const { createServer } = await import("node:http");
  const readers = new Set<ServerResponse>();
  const closing = new AbortController();
  // Every answer under way listens to it.
  setMaxListeners(0, closing.signal);

  async function onRequest(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (!(await discardBody(request))) {
        response.setHeader("Connection", "close");
        send(response, refuse(413, { code: "TOO_LARGE", message: "a request has no body" }));
        return;
      }
      const { method = "", url: target = "" } = request;
      const reply = await answer(controlled, { method, target });
      if ("events" in reply) stream(response);
      else await sendInTime(response, reply);
    } catch (error) {
      if (isAbort(error)) return;
      log.debug({ err: describeError(error) }, "request over the control socket failed");
      if (!response.headersSent) send(response, refuse(500, { code: "INTERNAL", message: describeError(error) }));
    }
  }

  /** Who reads too slowly gets no more. */
  async function sendInTime(response: ServerResponse, reply: Finite): Promise<void> {
    const closed = once(response, "close");
    send(response, reply);
    await settledWithin(closed, { clock, ms: SEND_MS, signal: closing.signal });
    if (!response.closed) response.destroy();
  }

  function stream(response: ServerResponse): void {
    if (readers.size >= MAX_EVENT_READERS) {
      send(response, refuse(503, { code: "TOO_MANY", message: `${MAX_EVENT_READERS} readers of events are enough` }));
      return;
    }
    readers.add(response);
    response.writeHead(200, { "Content-Type": "application/x-ndjson", "Cache-Control": "no-store" });
    response.flushHeaders();
    const unsubscribe = controlled.subscribe((event) => {
      response.write(`${printableJson(event)}\n`);
      if (response.writableLength > MAX_WAITING_BYTES) response.destroy();
    });
    response.once("close", () => {
      unsubscribe();
      readers.delete(response);
    });
  }

  const server = createServer({
    maxHeaderSize: MAX_HEADER_BYTES,
    headersTimeout: HEADERS_MS,
    requestTimeout: REQUEST_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: HEADERS_MS,
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.on(
    "request",
    oneAtATime((request, response) => void onRequest(request, response)),
  );
  server.on("clientError", onClientError);
  const file = await bindControlSocket(server, bind);
  server.on("error", (error) => log.debug({ err: describeError(error) }, "control socket failed"));
  return {
    path: bind.path,
    async close() {
      closing.abort();
      await file.remove();
      server.close();
      server.closeAllConnections();
    },
  };
}

/** Reads what belongs to the request. False when it is more than there can be; the rest is not read then. */
async function discardBody(request: IncomingMessage): Promise<boolean> {
  let bytes = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) return false;
  }
  return true;
}

function send(response: ServerResponse, reply: Finite): void {
  const isText = "text" in reply;
  const body = isText ? reply.text : `${printableJson(reply.json)}\n`;
  response.writeHead(reply.status, {
    "Content-Type": isText ? reply.type : "application/json",
    "Content-Length": Buffer.byteLength(body),
    "Cache-Control": "no-store",
    ...(!isText && reply.allow !== undefined && { Allow: reply.allow }),
  });
  response.end(body);
}

/** Bytes that are no HTTP, too long headers, or nothing for too long. */
function onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (socket.writable && error.code !== "ECONNRESET") {
    const body = `${JSON.stringify({ error: { code: "BAD_REQUEST", message: "this is no request of HTTP/1.1" } })}\n`;
    const head = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: application/json\r\n";
    socket.end(`${head}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, () => socket.destroy());
  } else {
    socket.destroy();
  }
}
