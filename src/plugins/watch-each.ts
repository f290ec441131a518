/**
 * Watches keys of which each takes a request that stays open: a few of them, each for itself, again and again.
 *
 * Only a hint that saves polling. What fails is tried again after a growing pause, silently, because the daemon finds out by
 * its own calls that a store cannot be reached.
 */
import { setMaxListeners } from "node:events";
import type { Clock } from "../clock.ts";
import type { StunmeshError } from "../errors.ts";
import { readRetryAfter } from "./retry-after.ts";
import type { WatchHandlers } from "./types.ts";

/** Keys that are watched; the others are polled. Each is a connection kept open, here and at the service. */
const MAX_KEYS = 32;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;
/** A watch that lasted this long before it failed was a good one. */
const GOOD_MS = 60_000;

interface WatchEachOptions {
  readonly keys: readonly string[];
  readonly handlers: WatchHandlers;
  readonly clock: Clock;
  /**
   * Watches `key` once, reports what changes, and is called again when it returns. What it throws is tried again after a
   * pause. An error it *returns* says that the service cannot be watched at all: that ends the watching of every key.
   */
  watchKey(key: string, signal: AbortSignal): Promise<StunmeshError | undefined>;
}

/** Runs `watchKey` for the first 32 of `keys` until closed. */
export function watchEach({ keys, handlers, clock, watchKey }: WatchEachOptions): { close(): void } {
  const closed = new AbortController();
  const { signal } = closed;
  // Two for each key; Node would warn of a leak.
  setMaxListeners(2 * MAX_KEYS, signal);

  function giveUp(error: unknown): void {
    if (signal.aborted) return;
    closed.abort();
    handlers.onError(error);
  }

  async function keepWatching(key: string): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const startedMs = clock.monotonic();
      try {
        const impossible = await watchKey(key, signal);
        if (impossible) return giveUp(impossible);
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        if (clock.monotonic() - startedMs >= GOOD_MS) failures = 0;
        const pauseMs = Math.min(FIRST_PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS);
        failures++;
        await clock.sleep(Math.max(pauseMs, Math.min(readRetryAfter(error) ?? 0, 5 * LONGEST_PAUSE_MS)), signal);
      }
    }
  }

  for (const key of keys.slice(0, MAX_KEYS)) keepWatching(key).catch(giveUp);
  return { close: () => closed.abort() };
}
