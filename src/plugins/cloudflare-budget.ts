/**
 * How many calls of the Cloudflare API this process makes with one token. Cloudflare allows 1,200 calls in 5 minutes for
 * everything a user does, its dashboard included, and blocks all of it for the next 5 minutes after that.
 *
 * A token bucket: half of the limit may be used at once, the other half comes back over the 5 minutes; so no 5 minutes
 * have more calls than the limit, whatever they begin with. All stores with the same API token share one bucket.
 */
import type { Clock } from "../clock.ts";
import { StunmeshError } from "../errors.ts";
import type { RetryAfter } from "./retry-after.ts";

const LIMIT_WINDOW_MS = 5 * 60_000;
/** A call that would have to wait longer fails at once: its deadline would end it anyway. */
const LONGEST_WAIT_MS = 10_000;

export interface CallBudget {
  /**
   * Resolves when a call may be made. Throws STORE_UNAVAILABLE, with the bare reason as its message and the wait as its
   * cause (RetryAfter), when that would take more than 10 s; rejects with the signal's reason when aborted.
   */
  spend(signal: AbortSignal): Promise<void>;
  /** No call passes for this time: the service said so. */
  block(ms: number): void;
  /** Keeps to `limit` when that is less than the limit so far. */
  lower(limit: number): void;
}

interface BudgetOptions {
  readonly clock: Clock;
  /** Calls in 5 minutes. */
  readonly limit: number;
}

/** A budget of its own. */
export function createCallBudget({ clock, limit: firstLimit }: BudgetOptions): CallBudget {
  let limit = firstLimit;
  /** Below 0: that many calls wait. */
  let calls = limit / 2;
  let countedAtMs = clock.monotonic();
  let blockedUntilMs = Number.NEGATIVE_INFINITY;

  /** How long the next call has to wait. */
  function readWait(): number {
    const nowMs = clock.monotonic();
    const msPerCall = LIMIT_WINDOW_MS / (limit / 2);
    calls = Math.min(limit / 2, calls + (nowMs - countedAtMs) / msPerCall);
    countedAtMs = nowMs;
    return Math.max(0, (1 - calls) * msPerCall);
  }
  function checkBlocked(): void {
    const waitMs = blockedUntilMs - clock.monotonic();
    if (waitMs > 0) throw refuse("it asked to be left alone", waitMs);
  }

  return {
    async spend(signal) {
      signal.throwIfAborted();
      checkBlocked();
      const waitMs = readWait();
      if (waitMs > LONGEST_WAIT_MS) {
        throw refuse(`this daemon has used up its calls, ${limit} in 5 minutes (call_limit)`, waitMs);
      }
      calls--;
      if (waitMs === 0) return;
      try {
        await clock.sleep(waitMs, signal);
        checkBlocked();
      } catch (error) {
        // Not made, so not spent.
        calls++;
        throw error;
      }
    },
    block(ms) {
      blockedUntilMs = Math.max(blockedUntilMs, clock.monotonic() + ms);
    },
    lower(other) {
      limit = Math.min(limit, other);
    },
  };
}

function refuse(why: string, retryAfterMs: number): StunmeshError {
  const cause: RetryAfter = { retryAfterMs };
  return new StunmeshError("STORE_UNAVAILABLE", `${why}: next call in ${Math.ceil(retryAfterMs / 1000)} s`, { cause });
}

/** By clock, so that time that stands still in one test is no budget of another. */
const budgets = new WeakMap<Clock, Map<string, CallBudget>>();

/** The budget of everything in this process that asks the API at `apiUrl` with `token`; the lowest limit counts for all. */
export function sharedCallBudget({
  clock,
  limit,
  token,
  apiUrl,
}: BudgetOptions & { readonly token: string; readonly apiUrl: string }): CallBudget {
  const ofClock = budgets.get(clock) ?? new Map<string, CallBudget>();
  budgets.set(clock, ofClock);
  const id = JSON.stringify([apiUrl, token]);
  const budget = ofClock.get(id) ?? createCallBudget({ clock, limit });
  ofClock.set(id, budget);
  budget.lower(limit);
  return budget;
}
