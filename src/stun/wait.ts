/**
 * Two ways to wait that STUN needs: for something but not too long, and for the first success of staggered attempts.
 * Nothing here outlives its call: timers are stopped and listeners removed, whoever wins.
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

/** An attempt resolves with undefined when it failed; it rejects only for what ends all of them (an abort, no socket). */
export type Attempt<T> = () => Promise<T | undefined>;

/**
 * Starts `attempts` in order, each `ms` after the one before it or as soon as that one failed, while the earlier ones go
 * on. Resolves with the first success, or with undefined when all failed. Attempts still running then are the caller's
 * to stop, through the signal they share.
 */
export async function firstSuccess<T>(attempts: readonly Attempt<T>[], options: WaitOptions): Promise<T | undefined> {
  const [attempt, ...others] = attempts;
  if (!attempt) return undefined;
  const head = attempt();
  const tail = waitAtMost(head, options).then((success) => success ?? firstSuccess(others, options));
  return new Promise((resolve, reject) => {
    let failed = 0;
    const onSettled = (success: T | undefined) => {
      failed += 1;
      if (success !== undefined || failed === 2) resolve(success);
    };
    head.then(onSettled, reject);
    tail.then(onSettled, reject);
  });
}
