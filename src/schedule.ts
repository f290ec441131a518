/** When a peer's turn is next: pure bookkeeping of one peer, driven by the daemon's loop. Times are of the monotonic clock. */
import { pollDelayMs, retryDelayMs } from "./convergence.ts";
import type { Occasion } from "./publishing.ts";

/** How much each occasion asks for. */
const DEMAND: Readonly<Record<Occasion, number>> = { poll: 0, suspicion: 1, change: 2, interval: 3, failure: 4 };

/** With dualstack: a family that is merely slow (its first server is dead) is discovered within this time of the other one. */
export const OTHER_FAMILY_WAIT_MS = 2_000;

export interface Schedule {
  /** A refresh of the peer is under way. */
  busy: boolean;
  /** When the peer is due; Infinity = at the next regular refresh only. */
  dueAtMs: number;
  /** Why it is due. */
  occasion: Occasion;
  /** Looks at the store since something last changed. */
  attempt: number;
  /** The tunnel was found dead by a health check and has not come back. */
  failing: boolean;
  /** When the turn that is under way, or was last, began. */
  beganAtMs: number;
}

/** Between the end of a turn and the next, however long the turn took. */
const MIN_PAUSE_MS = 1_000;

export function createSchedule(): Schedule {
  return {
    busy: false,
    dueAtMs: Number.POSITIVE_INFINITY,
    occasion: "poll",
    attempt: 0,
    failing: false,
    beganAtMs: Number.NEGATIVE_INFINITY,
  };
}

/** Makes the peer due at once, and its next looks close together again. A trigger while busy is kept for when it is not. */
export function trigger(
  schedule: Schedule,
  { nowMs, occasion }: { readonly nowMs: number; readonly occasion: Occasion },
): void {
  schedule.dueAtMs = nowMs;
  schedule.attempt = 0;
  // A trigger that asks for less does not take back what one before it asked for.
  if (DEMAND[occasion] > DEMAND[schedule.occasion]) schedule.occasion = occasion;
}

/** Makes the peer due at once; its looks stay as far apart as they are. */
export function hasten(schedule: Schedule, nowMs: number): void {
  schedule.dueAtMs = Math.min(schedule.dueAtMs, nowMs);
}

/** Takes the peer's turn: marks it busy and says why it was due. */
export function begin(schedule: Schedule, nowMs: number): Occasion {
  const { occasion } = schedule;
  schedule.busy = true;
  schedule.beganAtMs = nowMs;
  schedule.dueAtMs = Number.POSITIVE_INFINITY;
  schedule.occasion = "poll";
  return occasion;
}

/**
 * Ends the peer's turn. `again`: look again after the usual growing delay, unless a trigger wants it sooner. The delay counts
 * from the beginning of the turn, so that a store that hangs does not make the longest delay longer.
 */
export function finish(
  schedule: Schedule,
  options: {
    readonly nowMs: number;
    readonly again: boolean;
    readonly maxMs: number;
    readonly random: number;
    readonly fixedRetries: number;
  },
): void {
  schedule.busy = false;
  if (!options.again) return;
  const delayMs = schedule.failing ? retryDelayMs(schedule.attempt, options) : pollDelayMs(schedule.attempt, options);
  schedule.attempt++;
  const nextMs = Math.max(schedule.beganAtMs + delayMs, options.nowMs + Math.min(delayMs, MIN_PAUSE_MS));
  schedule.dueAtMs = Math.min(schedule.dueAtMs, nextMs);
}
