/** A clock that stands still until a test moves it. Sleepers wake in order of their time. */
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../src/clock.ts";

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

export interface FakeClock extends Clock {
  /** Moves time forward by `ms`, waking every sleeper on the way and letting promises settle after each. */
  advance(ms: number): Promise<void>;
  /** How many sleepers wait. */
  readonly sleeping: number;
}

export function createFakeClock(startMs = 1_700_000_000_000): FakeClock {
  let elapsed = 0;
  let sleepers: Sleeper[] = [];
  return {
    now: () => startMs + elapsed,
    monotonic: () => elapsed,
    get sleeping() {
      return sleepers.length;
    },
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) {
          reject(signal.reason);
          return;
        }
        function onAbort() {
          sleepers = sleepers.filter((other) => other !== sleeper);
          reject(signal?.reason);
        }
        function wake() {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        }
        const sleeper: Sleeper = { at: elapsed + Math.max(ms, 0), wake };
        sleepers.push(sleeper);
        signal?.addEventListener("abort", onAbort, { once: true });
      });
    },
    async advance(ms) {
      const end = elapsed + ms;
      await settle();
      for (;;) {
        const next = sleepers.filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0];
        if (!next) break;
        sleepers = sleepers.filter((other) => other !== next);
        elapsed = Math.max(elapsed, next.at);
        next.wake();
        await settle();
      }
      elapsed = end;
      await settle();
    },
  };
}

/** Lets every promise that can settle do so. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await setImmediate();
}
