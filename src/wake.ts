/** A loop's alarm clock: sleeps until a time has passed or somebody calls `wake`, whichever is first. */
import type { Clock } from "./clock.ts";

/** Made once: an abort without a reason makes an error with a stack each time. */
const WOKEN = new DOMException("woken", "AbortError");

export interface Wake {
  /** Ends the current or the next wait. Calling it many times is the same as once. */
  wake(): void;
  /** Resolves after `ms` or on wake(); rejects with the signal's reason when aborted. One waiter at a time. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
}

export function createWake(clock: Clock): Wake {
  let pending = false;
  let current: AbortController | undefined;
  return {
    wake() {
      pending = true;
      current?.abort(WOKEN);
    },
    async wait(ms, signal) {
      signal.throwIfAborted();
      if (!pending) {
        const waiting = new AbortController();
        current = waiting;
        // By hand, not by AbortSignal.any: that keeps something for every call as long as `signal` lives.
        const onAbort = () => waiting.abort(WOKEN);
        signal.addEventListener("abort", onAbort, { once: true });
        await clock.sleep(ms, waiting.signal).catch(() => undefined);
        signal.removeEventListener("abort", onAbort);
        signal.throwIfAborted();
      }
      current = undefined;
      pending = false;
    },
  };
}
