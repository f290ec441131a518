/**
 * Waiting for something, but not too long. Nothing here outlives its call: timers are stopped and listeners removed, whoever
 * wins.
 */
import type { Clock } from "../clock.ts";

interface WaitOptions {
  readonly clock: Clock;
  readonly ms: number;
  readonly signal: AbortSignal;
}

/** Resolves as `promise` does, or with undefined after `ms`; rejects with the signal's reason when it is aborted first. */
export async function waitAtMost<T>(promise: Promise<T>, { clock, ms, signal }: WaitOptions): Promise<T | undefined> {
  // The promise may reject after an abort below; without a handler of its own that would end the process.
  promise.catch(() => undefined);
  signal.throwIfAborted();
  const timer = new AbortController();
  const onAbort = () => timer.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, clock.sleep(ms, timer.signal).then(() => undefined)]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    timer.abort();
  }
}
