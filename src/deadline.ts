/**
 * A deadline around any outside call: the caller gets its answer or an error in time, whatever the call does.
 */
import type { Clock } from "./clock.ts";
import { StunmeshError } from "./errors.ts";

/** Stops a timer. Made once: an abort without a reason makes an error with a stack each time. */
const DONE = new DOMException("done", "AbortError");

interface DeadlineOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Stops the call early; the result rejects with this signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** What is being done, for the message: "Cannot <action>: no answer within 5 s". */
  readonly action: string;
}

/**
 * Runs `call` with a signal that is aborted at the deadline or when `signal` is. Rejects with code TIMEOUT at the
 * deadline even when `call` ignores its signal; what `call` does after that is dropped.
 */
export async function withDeadline<T>(options: DeadlineOptions, call: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const { clock, timeoutMs, signal, action } = options;
  signal?.throwIfAborted();
  const stopCall = new AbortController();
  const stopTimer = new AbortController();
  const onAbort = () => stopCall.abort(signal?.reason);
  signal?.addEventListener("abort", onAbort, { once: true });
  const aborted = new Promise<never>((_, reject) => {
    stopCall.signal.addEventListener("abort", () => reject(stopCall.signal.reason), { once: true });
  });
  const timer = clock.sleep(timeoutMs, stopTimer.signal).then(
    () => stopCall.abort(new StunmeshError("TIMEOUT", `Cannot ${action}: no answer within ${timeoutMs / 1000} s`)),
    () => undefined,
  );
  try {
    return await Promise.race([call(stopCall.signal), aborted]);
  } finally {
    stopTimer.abort(DONE);
    signal?.removeEventListener("abort", onAbort);
    await timer;
  }
}

/** Resolves when `promise` settles (either way) or after `ms`, whichever is first; rejects only when aborted. */
export async function settledWithin(
  promise: Promise<unknown>,
  { clock, ms, signal }: { readonly clock: Clock; readonly ms: number; readonly signal: AbortSignal },
): Promise<void> {
  signal.throwIfAborted();
  const stopTimer = new AbortController();
  const stop = () => stopTimer.abort(DONE);
  signal.addEventListener("abort", stop, { once: true });
  const timer = clock.sleep(ms, stopTimer.signal).catch(() => undefined);
  await Promise.race([promise.then(stop, stop), timer]);
  stop();
  signal.removeEventListener("abort", stop);
  signal.throwIfAborted();
}
