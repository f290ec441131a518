/**
 * Hears of new values by publish/subscribe, on a connection of its own: every writer publishes on the key's channel in the
 * same transaction that stores the value, so the server needs no keyspace notifications.
 *
 * A message that was sent while the connection was lost is lost too: after a new connection every key counts as changed.
 */
import { randomInt } from "node:crypto";
import type { Clock } from "../clock.ts";
import { openRedisConnection, type RedisConnection, type RedisTarget } from "./redis-connection.ts";
import { isHopeless, ReplyError } from "./redis-failure.ts";
import { isErrorReply, type Reply } from "./redis-protocol.ts";
import type { WatchHandlers } from "./types.ts";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** NATs and firewalls forget a connection that is silent for longer, and the far side's end is then never heard of. */
const PING_EVERY_MS = 30_000;
const PONG_WITHIN_MS = 10_000;

interface WatchOptions {
  readonly target: RedisTarget;
  readonly keys: readonly string[];
  readonly channelOf: (key: string) => string;
  readonly handlers: WatchHandlers;
  /** Makes an error fit for `onError`. */
  readonly explain: (error: unknown) => unknown;
}

/** Reports new values of `keys` until closed. Connects again for ever, unless the server refuses this user. */
export function watchRedis({ target, keys, channelOf, handlers, explain }: WatchOptions): { close(): void } {
  const { clock } = target;
  const closed = new AbortController();
  const { signal } = closed;
  const byChannel = new Map(keys.map((key) => [channelOf(key), key]));

  /** Resolves with the reason when the connection has ended. */
  async function listen({ onOpen }: { readonly onOpen: () => void }): Promise<unknown> {
    const connection = await openRedisConnection(target, { onPush: (reply) => take(reply), signal });
    function take(reply: Reply): void {
      if (isErrorReply(reply)) {
        connection.close(new ReplyError(reply.error));
        return;
      }
      const [kind, channel] = Array.isArray(reply) ? reply.map(String) : [];
      const key = kind === "message" && channel !== undefined ? byChannel.get(channel) : undefined;
      if (key !== undefined && !signal.aborted) handlers.onChange(key);
    }
    const onAbort = () => connection.close();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) onAbort();
    connection.send(["SUBSCRIBE", ...byChannel.keys()]);
    onOpen();
    const pinging = new AbortController();
    const pings = keepAsking(connection, { clock, signal: pinging.signal });
    const reason = await connection.ended;
    signal.removeEventListener("abort", onAbort);
    pinging.abort();
    await pings;
    return reason;
  }

  async function run(): Promise<void> {
    let failures = 0;
    let wasOpen = false;
    const onOpen = () => {
      failures = 0;
      if (wasOpen) for (const key of keys) handlers.onChange(key);
      wasOpen = true;
    };
    while (!signal.aborted) {
      const reason = await listen({ onOpen }).catch((error: unknown) => error);
      if (signal.aborted) return;
      if (isHopeless(reason)) {
        closed.abort();
        handlers.onError(explain(reason));
        return;
      }
      const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS);
      failures++;
      // Nodes that lost the same server must not return together.
      await clock.sleep(pauseMs - randomInt(pauseMs / 4), signal).catch(() => undefined);
    }
  }

  if (keys.length > 0) run().catch((error: unknown) => signal.aborted || handlers.onError(explain(error)));
  return { close: () => closed.abort() };
}

/** Ends the connection when the server does not answer for 10 s after having been silent for 30 s. */
async function keepAsking(
  connection: RedisConnection,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    try {
      await clock.sleep(PING_EVERY_MS, signal);
      if (clock.monotonic() - connection.lastReplyMs < PING_EVERY_MS) continue;
      const askedMs = clock.monotonic();
      connection.send(["PING"]);
      await clock.sleep(PONG_WITHIN_MS, signal);
      if (connection.lastReplyMs < askedMs) connection.close();
    } catch {
      // The connection has ended, and with it the reason to ask.
      return;
    }
  }
}
