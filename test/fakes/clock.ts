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
  /** Sets the wall clock forward (or back), as a time server does, and as it looks after a sleep of the machine. */
  jump(ms: number): void;
  /** Lets time pass in which nothing runs: sleepers that were due meanwhile wake too late. */
  stall(ms: number): Promise<void>;
  /** How many sleepers wait. */
  readonly sleeping: number;
}

export function createFakeClock(startMs = 1_700_000_000_000): FakeClock {
  let elapsed = 0;
  let jumped = 0;
  let sleepers: Sleeper[] = [];

  async function advance(ms: number): Promise<void> {
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
  }

  return {
    advance,
    now: () => startMs + elapsed + jumped,
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
    jump(ms) {
      jumped += ms;
    },
    stall(ms) {
      elapsed += ms;
      return advance(0);
    },
  };
}

/** Lets every promise that can settle do so: all of them before the first turn, and what a callback of that turn starts before the second. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 2; turn++) await setImmediate();
}
