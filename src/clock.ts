/**
 * Time. Nothing else in the program reads the time or starts a timer, so that a test can put a behaving clock in its place.
 */

import { readFileSync } from "node:fs";

export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump: use it only to compare with times that others wrote down. */
  now(): number;
  /** Milliseconds since some fixed moment; never goes back. For every measured or waited time. */
  monotonic(): number;
  /** Milliseconds since the machine started, those of its sleep included; never set. Undefined where the system does not tell. */
  sinceBoot?(): number | undefined;
  /** Resolves after `ms` milliseconds; rejects with the signal's AbortError when it is aborted first. Does not keep the process alive by itself once aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Longest time a timer of Node takes; more would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sinceBoot: readSinceBoot,
  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(abortReason(signal));
        return;
      }
      function onAbort() {
        clearTimeout(timer);
        if (signal) reject(abortReason(signal));
      }
      const timer = setTimeout(
        () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
        Math.min(Math.max(ms, 0), MAX_TIMER_MS),
      );
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
};

/** Linux: CLOCK_BOOTTIME, with a precision of 10 ms (proc_uptime(5)). The kernel writes the text when it is read. */
function readSinceBoot(): number | undefined {
  try {
    const seconds = Number.parseFloat(readFileSync("/proc/uptime", "latin1"));
    return Number.isFinite(seconds) ? seconds * 1_000 : undefined;
  } catch {
    // Another system.
    return undefined;
  }
}

/** CLOCK_MONOTONIC of the machine in microseconds, as text: for others on this machine, who compare it with their own. */
export function monotonicMicroseconds(): string {
  return String(process.hrtime.bigint() / 1000n);
}

function abortReason(signal: AbortSignal): Error {
  const { reason } = signal;
  return reason instanceof Error ? reason : new DOMException("This operation was aborted", "AbortError");
}
