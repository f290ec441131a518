/** Is a tunnel alive, judged from pings through it: pure policy. */

/** How many probes in a row are lost before a tunnel counts as down: the first, and two that confirm it. */
const MISSES_UNTIL_DOWN = 3;
/** Results the loss is counted over. */
const WINDOW = 60;

export interface Health {
  /** `unknown` until the first answer or the third miss. */
  readonly verdict: "unknown" | "up" | "down";
  /** Probes lost in a row. */
  readonly misses: number;
  /** Monotonic clock: since when the verdict holds. */
  readonly sinceMs: number;
  /** Of the last answer. */
  readonly rttMs?: number;
  /** The last results, newest last, at most 60. */
  readonly results: readonly boolean[];
}

export function createHealth(monotonicMs: number): Health {
  return { verdict: "unknown", misses: 0, sinceMs: monotonicMs, results: [] };
}

/** Adds the result of a probe: its round-trip time, or undefined when it was not answered or could not be sent. */
export function afterProbe(health: Health, rttMs: number | undefined, monotonicMs: number): Health {
  const answered = rttMs !== undefined;
  const misses = answered ? 0 : health.misses + 1;
  const verdict = answered ? "up" : misses >= MISSES_UNTIL_DOWN ? "down" : health.verdict;
  const lastRtt = rttMs ?? health.rttMs;
  return {
    verdict,
    misses,
    sinceMs: verdict === health.verdict ? health.sinceMs : monotonicMs,
    results: [...health.results, answered].slice(-WINDOW),
    ...(lastRtt !== undefined && { rttMs: lastRtt }),
  };
}

/** Share of lost probes among the last ones, 0..1. */
export function lossOf({ results }: Health): number {
  return results.length === 0 ? 0 : results.filter((answered) => !answered).length / results.length;
}
