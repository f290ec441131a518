/** How old a handshake is by a wall clock that may have been set since. Pure. */

/** Clocks are corrected by a little all the time. */
const TOLERANCE_MS = 1_000;

/**
 * The age of a handshake by the wall clock, in milliseconds; undefined when that clock was set since, because the handshake
 * would be to come, or from before the machine was started.
 */
export function handshakeAgeMs(
  latestHandshakeMs: number,
  {
    nowMs,
    sinceBootMs = Number.POSITIVE_INFINITY,
  }: { readonly nowMs: number; readonly sinceBootMs?: number | undefined },
): number | undefined {
  const ageMs = nowMs - latestHandshakeMs;
  return ageMs < -TOLERANCE_MS || ageMs > sinceBootMs + TOLERANCE_MS ? undefined : Math.max(0, ageMs);
}
