/**
 * Notices that the machine slept: after that NAT mappings are gone and the network may be another one.
 *
 * No system tells every process, but the clocks do. While the machine sleeps the wall clock goes on and, depending on the
 * system, the monotonic clock stands still (Linux, CLOCK_MONOTONIC in clock_gettime(2)) or goes on while no timer fires
 * (macOS). A wall clock that is set forward by much looks the same, as at every start of a router without a battery, unless
 * the system counts the time since its start (Linux): so nothing may be condemned for the wall clock alone.
 */
import type { Clock } from "./clock.ts";

/** How often the clocks are compared. */
const LOOK_EVERY_MS = 2_000;
/** Shorter sleeps leave NAT mappings alive, and time servers correct by less. */
const SLEPT_MIN_MS = 10_000;

export interface Resume {
  /** `set`: the machine did not sleep, its clock was set; `unknown`: one or the other. */
  readonly kind: "slept" | "set" | "unknown";
  /** How long the machine slept, or by how much the clock was set, roughly. */
  readonly sleptMs: number;
  /** Time that has certainly passed without the monotonic clock. */
  readonly missedMs: number;
}

/**
 * Calls `onResume`, which must not throw, after each sleep of the machine of more than 10 s, and when a clock that was set
 * forward looks like one. Resolves when aborted.
 */
export async function watchResume(
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
  onResume: (resume: Resume) => void,
): Promise<void> {
  const read = () => ({ wall: clock.now(), monotonic: clock.monotonic(), boot: clock.sinceBoot?.() });
  while (!signal.aborted) {
    const before = read();
    // Rejects only when aborted.
    await clock.sleep(LOOK_EVERY_MS, signal).catch(() => undefined);
    if (signal.aborted) return;
    const resume = judge(before, read());
    if (resume) onResume(resume);
  }
}

interface Clocks {
  readonly wall: number;
  readonly monotonic: number;
  readonly boot: number | undefined;
}

function judge(before: Clocks, after: Clocks): Resume | undefined {
  const monotonicMs = after.monotonic - before.monotonic;
  const lateMs = monotonicMs - LOOK_EVERY_MS;
  const aheadMs = after.wall - before.wall - monotonicMs;
  const isBootKnown = before.boot !== undefined && after.boot !== undefined;
  const missedMs = isBootKnown ? after.boot - before.boot - monotonicMs : 0;
  const sleptMs = Math.max(missedMs, lateMs);
  if (sleptMs > SLEPT_MIN_MS) return { kind: "slept", sleptMs, missedMs: Math.max(0, missedMs) };
  if (aheadMs > SLEPT_MIN_MS) return { kind: isBootKnown ? "set" : "unknown", sleptMs: aheadMs, missedMs: 0 };
  return undefined;
}
