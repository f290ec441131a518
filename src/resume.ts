/**
 * Notices that the machine slept: after that NAT mappings are gone and the network may be another one.
 *
 * No system tells every process, but the clocks do. While the machine sleeps the wall clock goes on and, depending on the
 * system, the monotonic clock stands still (Linux, CLOCK_MONOTONIC in clock_gettime(2)) or goes on while no timer fires
 * (macOS). A wall clock that is corrected forward by much looks the same, as at every start of a router without a battery:
 * so nothing may be condemned for it. One refresh too many does no harm.
 */
import type { Clock } from "./clock.ts";

/** How often the clocks are compared. */
const LOOK_EVERY_MS = 2_000;
/** Shorter sleeps leave NAT mappings alive, and time servers correct by less. */
const SLEPT_MIN_MS = 10_000;

export interface Resume {
  /** How long the machine slept, roughly. */
  readonly sleptMs: number;
}

/** Calls `onResume`, which must not throw, after each sleep of the machine of more than 10 s. Resolves when aborted. */
export async function watchResume(
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
  onResume: (resume: Resume) => void,
): Promise<void> {
  while (!signal.aborted) {
    const beforeMs = { wall: clock.now(), monotonic: clock.monotonic() };
    // Rejects only when aborted.
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    const monotonicMs = clock.monotonic() - beforeMs.monotonic;
    const wallAheadMs = clock.now() - beforeMs.wall - monotonicMs;
    const sleptMs = Math.max(wallAheadMs, monotonicMs - LOOK_EVERY_MS);
    if (sleptMs > SLEPT_MIN_MS) onResume({ sleptMs });
  }
}
