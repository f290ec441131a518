/**
 * Commands to a Redis server over one connection that is opened by the first call and again by the first after it was
 * lost. Calls share it; one that is given up leaves its place in the line of replies, and the others go on.
 */

import { abortable } from "../abortable.ts";
import type { Clock } from "../clock.ts";
import { openRedisConnection, type RedisConnection, type RedisTarget } from "./redis-connection.ts";
import { ConnectionLostError, isConnectionLost, ReplyError } from "./redis-failure.ts";
import { isErrorReply, type Reply } from "./redis-protocol.ts";

/** A connection on which no reply came for this long, though one was due, is given up together with the call that noticed. */
const SILENT_MS = 5000;

export interface RedisClient {
  /**
   * Sends commands together and returns their replies. Commands may be sent a second time, when a connection that had worked
   * was lost before the reply. Throws ReplyError for the first error reply, and the system's errors; rejects with the
   * reason of `signal`.
   */
  call(commands: readonly (readonly string[])[], signal: AbortSignal): Promise<readonly Reply[]>;
  close(): void;
}

export function openRedisClient(target: RedisTarget): RedisClient {
  const { clock } = target;
  let current: Promise<RedisConnection> | undefined;
  const closed = new AbortController();

  function connection(): Promise<RedisConnection> {
    if (current) return current;
    const opening = openRedisConnection(target, { signal: closed.signal });
    current = opening;
    const forget = () => {
      if (current === opening) current = undefined;
    };
    opening.then(({ ended }) => ended.then(forget), forget);
    return opening;
  }

  return {
    async call(commands, signal) {
      signal.throwIfAborted();
      const isReused = current !== undefined;
      try {
        return await callOnce(await abortable(connection(), signal), { commands, signal, clock });
      } catch (error) {
        // Servers close idle connections, and restart: that is noticed only when the next command goes unanswered.
        if (!isReused || signal.aborted || closed.signal.aborted || !isConnectionLost(error)) throw error;
        return await callOnce(await abortable(connection(), signal), { commands, signal, clock });
      }
    },
    close() {
      closed.abort(new ConnectionLostError("the store is closed"));
      current?.then(
        (open) => open.close(closed.signal.reason),
        () => undefined,
      );
    },
  };
}

async function callOnce(
  connection: RedisConnection,
  {
    commands,
    signal,
    clock,
  }: { readonly commands: readonly (readonly string[])[]; readonly signal: AbortSignal; readonly clock: Clock },
): Promise<readonly Reply[]> {
  try {
    const replies = await abortable(connection.request(commands), signal);
    const failure = replies.find(isErrorReply);
    if (failure) throw new ReplyError(failure.error);
    return replies;
  } catch (error) {
    const { waitingSinceMs = Number.POSITIVE_INFINITY } = connection;
    if (signal.aborted && clock.monotonic() - waitingSinceMs >= SILENT_MS)
      connection.close(new ConnectionLostError("no answer"));
    throw error;
  }
}
