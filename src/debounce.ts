/**
 * Makes one run out of a burst of calls: when they have been quiet for a while, but also when they never are.
 */
import type { Clock } from "./clock.ts";

export interface DebounceOptions {
  readonly clock: Clock;
  /** Runs when nobody called for so long. */
  readonly quietMs: number;
  /** Runs at the latest so long after the first call: what goes on for ever must not postpone for ever. */
  readonly maxMs: number;
}

export interface Debounce {
  /** Asks for a run. Cheap: a burst starts one timer. */
  call(): void;
  /** Takes back the run that is asked for. */
  cancel(): void;
}

/** Creates a debounce of `run`, which must not throw; a call while it runs asks for another one. */
export function createDebounce({ clock, quietMs, maxMs }: DebounceOptions, run: () => void): Debounce {
  let waiting: AbortController | undefined;
  let lastMs = 0;

  async function wait(signal: AbortSignal): Promise<void> {
    const firstMs = lastMs;
    for (;;) {
      const leftMs = Math.min(lastMs + quietMs, firstMs + maxMs) - clock.monotonic();
      if (leftMs <= 0) break;
      // Rejects only when cancelled.
      await clock.sleep(leftMs, signal).catch(() => undefined);
      if (signal.aborted) return;
    }
    waiting = undefined;
    run();
  }

  return {
    call() {
      lastMs = clock.monotonic();
      if (waiting) return;
      waiting = new AbortController();
      void wait(waiting.signal);
    },
    cancel() {
      waiting?.abort();
      waiting = undefined;
    },
  };
}
