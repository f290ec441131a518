/**
 * One connection to a Redis server: logged in, and answering commands in the order they were sent (pipelining).
 *
 * When it ends, for whatever reason, everything that waits for a reply fails with that reason and it is never used again.
 */
import { connect, isIP, type Socket } from "node:net";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { lookupForSocket } from "../names.ts";
import { ConnectionLostError, isConnectionLost, ReplyError } from "./redis-failure.ts";
import type { RedisAddress } from "./redis-options.ts";
import { createReplyParser, encodeCommand, isErrorReply, type Reply } from "./redis-protocol.ts";

const CONNECT_TIMEOUT_MS = 10_000;
/** TCP asks after the other side when nothing came for this long. */
const KEEP_ALIVE_MS = 30_000;

export interface RedisTarget {
  readonly address: RedisAddress;
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string | undefined;
  readonly clock: Clock;
}

export interface RedisConnection {
  /** Sends commands together; their replies, error replies included. Rejects when the connection ends. */
  request(commands: readonly (readonly string[])[]): Promise<readonly Reply[]>;
  /** Sends a command whose replies are for `onPush`. */
  send(command: readonly string[]): void;
  /** When the last reply was complete, or it was opened. Monotonic clock. A part of one is no sign of life. */
  readonly lastReplyMs: number;
  /** Since when the next reply is waited for; undefined when none is. Monotonic clock. */
  readonly waitingSinceMs: number | undefined;
  /** Resolves with the reason when the connection has ended; never rejects. */
  readonly ended: Promise<unknown>;
  close(reason?: unknown): void;
}

interface Waiting {
  readonly sentMs: number;
  readonly count: number;
  readonly replies: Reply[];
  resolve(replies: readonly Reply[]): void;
  reject(reason: unknown): void;
}

/**
 * Connects, logs in and selects the database, in at most 10 s. `onPush` gets replies nobody waits for. Throws ReplyError
 * when the server refuses, and the system's errors.
 */
export async function openRedisConnection(
  target: RedisTarget,
  options: { readonly onPush?: (reply: Reply) => void; readonly signal?: AbortSignal } = {},
): Promise<RedisConnection> {
  const { address, clock } = target;
  const opened = { action: "connect", clock, timeoutMs: CONNECT_TIMEOUT_MS, signal: options.signal };
  return withDeadline(opened, async (signal) => {
    const connection = startConnection(await openSocket(target), { clock, onPush: options.onPush });
    const onAbort = () => connection.close(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    try {
      const { username, password, database } = address;
      const login: string[][] = [];
      if (password !== undefined) login.push(["AUTH", ...(username === undefined ? [] : [username]), password]);
      // Also when it is 0: that the server answers to this shows that it is Redis, and that it lets us in.
      login.push(["SELECT", String(database)]);
      const failure = (await connection.request(login)).find(isErrorReply);
      if (failure) throw new ReplyError(failure.error);
      return connection;
    } catch (error) {
      connection.close(error);
      if (address.isTls || !isConnectionLost(error)) throw error;
      throw new ConnectionLostError("the server closed the connection at once: if it speaks TLS, write rediss://");
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  });
}

/** A socket that may still be connecting. */
async function openSocket({ address, ca }: RedisTarget): Promise<Socket> {
  const { host, port, isTls } = address;
  if (!isTls) return connect({ host, port, lookup: lookupForSocket });
  const tls = await import("node:tls");
  // An IP address is no server name (RFC 6066 section 3); the certificate is checked against `host` all the same.
  return tls.connect({
    host,
    port,
    lookup: lookupForSocket,
    ...(isIP(host) ? {} : { servername: host }),
    ...(ca === undefined ? {} : { ca }),
  });
}

function startConnection(
  socket: Socket,
  { clock, onPush }: { readonly clock: Clock; readonly onPush: ((reply: Reply) => void) | undefined },
): RedisConnection {
  const parse = createReplyParser();
  const waiting: Waiting[] = [];
  let lastReplyMs = clock.monotonic();
  let end: { readonly reason: unknown } | undefined;
  const { promise: ended, resolve: resolveEnded } = withResolver();

  function close(reason: unknown = new ConnectionLostError("the connection was closed")): void {
    if (end) return;
    end = { reason };
    socket.destroy();
    for (const { reject } of waiting.splice(0)) reject(reason);
    resolveEnded(reason);
  }
  function take(reply: Reply): void {
    const [first] = waiting;
    if (!first) {
      if (onPush) onPush(reply);
      else if (isErrorReply(reply)) close(new ReplyError(reply.error));
      else close(new ConnectionLostError("the server answers what nobody asked"));
      return;
    }
    first.replies.push(reply);
    if (first.replies.length < first.count) return;
    waiting.shift();
    first.resolve(first.replies);
  }

  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_MS);
  socket.on("data", (chunk: Buffer) => {
    try {
      for (const reply of parse(chunk)) {
        lastReplyMs = clock.monotonic();
        take(reply);
      }
    } catch (error) {
      close(error);
    }
  });
  socket.once("error", close);
  socket.once("close", () => close(new ConnectionLostError("the server closed the connection")));

  return {
    ended,
    close,
    get lastReplyMs() {
      return lastReplyMs;
    },
    get waitingSinceMs() {
      return waiting[0] && Math.max(waiting[0].sentMs, lastReplyMs);
    },
    request(commands) {
      return new Promise((resolve, reject) => {
        if (end) {
          reject(end.reason);
          return;
        }
        waiting.push({ sentMs: clock.monotonic(), count: commands.length, replies: [], resolve, reject });
        socket.write(Buffer.concat(commands.map(encodeCommand)));
      });
    },
    send(command) {
      if (!end) socket.write(encodeCommand(command));
    },
  };
}

function withResolver() {
  let resolve: (value: unknown) => void = () => undefined;
  const promise = new Promise<unknown>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
