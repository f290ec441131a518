/**
 * Watching keys of the DHT: a request for each, whose answer never ends and has a line for every value as it is put.
 *
 * A new request first gets the values that are there already: those that were seen before are no change.
 */
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { errorCode, StunmeshError } from "../errors.ts";
import type { HttpClient } from "./http-client.ts";
import { decodeLine } from "./opendht-envelope.ts";
import type { WatchHandlers } from "./types.ts";
import { watchEach } from "./watch-each.ts";

/** A proxy that forgot us, or whose host vanished, looks like one with nothing to say. */
const RENEW_MS = 15 * 60_000;
/** Values of one key that are remembered: those of 10 minutes, and some that others put there. */
const MAX_SEEN = 64;

/** Which values of the watched keys are known already. */
export interface SeenValues {
  /** True when `value` was not seen before under `key`; keys nobody watches are not remembered. */
  isNew(key: string, value: string): boolean;
  watch(keys: readonly string[]): void;
  unwatch(keys: readonly string[]): void;
}

export function createSeenValues(): SeenValues {
  const seen = new Map<string, Set<string>>();
  return {
    isNew(key, value) {
      const values = seen.get(key);
      if (!values || values.has(value)) return false;
      values.add(value);
      const [oldest] = values;
      if (values.size > MAX_SEEN && oldest !== undefined) values.delete(oldest);
      return true;
    },
    watch(keys) {
      for (const key of keys) if (!seen.has(key)) seen.set(key, new Set());
    },
    unwatch(keys) {
      for (const key of keys) seen.delete(key);
    },
  };
}

interface WatchDhtOptions {
  readonly keys: readonly string[];
  readonly handlers: WatchHandlers;
  readonly client: HttpClient;
  readonly endpoints: readonly string[];
  readonly magic: string;
  readonly seen: SeenValues;
  readonly clock: Clock;
  readonly maxLineBytes: number;
  /** Name of the plugin instance, for messages. */
  readonly name: string;
}

/** Reports new values of `keys` until closed. Gives up when no endpoint knows how to listen. */
export function watchDht(options: WatchDhtOptions): { close(): void } {
  const { keys, handlers, client, endpoints, magic, seen, clock, maxLineBytes, name } = options;
  const action = `watch plugin "${name}"`;
  /** Failures so far, for each key: the next try is at the next endpoint. */
  const turns = new Map<string, number>();
  const unable = new Set<string>();

  async function listen(
    key: string,
    { endpoint, signal }: { readonly endpoint: string; readonly signal: AbortSignal },
  ) {
    const url = new URL(`${endpoint}/key/${key}/listen`);
    const { lines } = await client.open({ url, signal, action, maxLineBytes });
    for await (const line of lines) {
      const envelope = decodeLine(line, { magic });
      if (envelope && seen.isNew(key, envelope.value)) handlers.onChange(key);
    }
    throw new StunmeshError("STORE_UNAVAILABLE", `Cannot ${action}: the answer ended`);
  }

  seen.watch(keys);
  const watch = watchEach({
    keys,
    handlers,
    clock,
    async watchKey(key, signal) {
      const turn = turns.get(key) ?? 0;
      const endpoint = endpoints[turn % endpoints.length] ?? "";
      try {
        await withDeadline({ clock, timeoutMs: RENEW_MS, signal, action }, (inner) =>
          listen(key, { endpoint, signal: inner }),
        );
      } catch (error) {
        if (errorCode(error) === "TIMEOUT") return undefined;
        turns.set(key, turn + 1);
        if (errorCode(error) === "STORE_FAILED") unable.add(endpoint);
        if (error instanceof StunmeshError && unable.size === endpoints.length) return error;
        throw error;
      }
      return undefined;
    },
  });
  return {
    close() {
      watch.close();
      seen.unwatch(keys);
    },
  };
}
