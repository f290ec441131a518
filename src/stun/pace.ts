/**
 * When the next of several servers is asked while those before it have not answered yet. Pure.
 *
 * The first gap is a second: a good server has answered by then, also when its first datagram was lost. Each one after it is
 * half as long, because many that are silent make it likely that many are dead. All have been started when most of the
 * deadline is still to come for the last.
 */
const FIRST_GAP_MS = 1_000;
const SHORTEST_GAP_MS = 250;
/** Share of the deadline after which the last one is started: what is left is time for three sends. */
const STARTING_SHARE = 0.7;

export interface Pace {
  /** Monotonic clock: when the next one may be started. */
  nextMs(): number;
  /** When the last one was started. */
  lastMs(): number;
  /** One was started at `nowMs`, and `left` wait for their turn. */
  started(now: { readonly nowMs: number; readonly left: number }): void;
  /** One failed: the next may be started at once. */
  hurry(): void;
  /** From now on no gap is longer. */
  limit(gapMs: number): void;
}

export function createPace({ startMs, timeoutMs }: { readonly startMs: number; readonly timeoutMs: number }): Pace {
  let starts = 0;
  let lastMs = startMs;
  let nextMs = startMs;
  let longestMs = FIRST_GAP_MS;
  return {
    nextMs: () => nextMs,
    lastMs: () => lastMs,
    started({ nowMs, left }) {
      const usualMs = Math.max(FIRST_GAP_MS / 2 ** starts, SHORTEST_GAP_MS);
      const fairMs = (startMs + timeoutMs * STARTING_SHARE - nowMs) / Math.max(left, 1);
      starts += 1;
      lastMs = nowMs;
      nextMs = nowMs + Math.max(0, Math.min(usualMs, fairMs, longestMs));
    },
    hurry() {
      nextMs = lastMs;
    },
    limit(gapMs) {
      longestMs = Math.min(longestMs, gapMs);
      nextMs = Math.min(nextMs, lastMs + longestMs);
    },
  };
}
