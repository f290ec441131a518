/**
 * Sequence numbers of records: which one is next, which of a peer's are old. Pure; the reasons are in
 * docs/decisions/0018-numbers-from-a-wrong-clock.md.
 *
 * A number is the time at which a record was made, in seconds since 1970, or one more than the one before. Invariant: no
 * number keeps those of a right clock away for longer than AHEAD_S, and a record that is older than one accepted before
 * is never accepted, whatever the own clock says, unless that clock is wrong and the record is of just that wrong time.
 */

/** How far a clock may be before ours: the same as what `status` has a note about. */
const AHEAD_S = 300;
/** The last second that a Date can hold (ECMA-262): no clock has ever made a higher number. */
const LAST_SEQUENCE = 8_640_000_000_000;
/** Before this, a clock was never set: a sequence number made from it would be refused as rolled back later. */
const PLAUSIBLE_CLOCK_MS = Date.UTC(2026, 0, 1);

/** From where on a peer's numbers are accepted. */
export interface SequenceMarks {
  /** The lowest number that is not old. */
  readonly recordSequence?: number | undefined;
  /** The lowest one of those that are ahead of the own clock, once there was one. */
  readonly aheadSequence?: number | undefined;
}

/** The sequence number after `previous`: seconds since 1970, but always growing; undefined while the clock is not set. */
export function nextSequence(nowMs: number, previous: number | undefined): number | undefined {
  // Every peer would refuse what comes after the last one.
  const known = previous !== undefined && previous < LAST_SEQUENCE ? previous : undefined;
  if (nowMs < PLAUSIBLE_CLOCK_MS && known === undefined) return undefined;
  return Math.max(secondsOf(nowMs), (known ?? 0) + 1);
}

/** True for what can be a sequence number. */
export function isSequence(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= LAST_SEQUENCE;
}

/** The mark that `sequence` is below of, which makes its record old; undefined when it may be accepted. */
export function markAbove(sequence: number, { marks, nowMs }: Judgement): number | undefined {
  const { recordSequence = 0, aheadSequence } = marks;
  if (sequence < recordSequence) return recordSequence;
  if (aheadSequence === undefined || sequence >= aheadSequence) return undefined;
  // Below the mark of the numbers ahead, but itself of a right clock: the peer's was ahead and was set since.
  return isAhead(aheadSequence, nowMs) && !isAhead(sequence, nowMs) ? undefined : aheadSequence;
}

/** The marks after `sequence` was accepted. */
export function acceptSequence(sequence: number, { marks, nowMs }: Judgement): SequenceMarks {
  const { recordSequence, aheadSequence } = marks;
  // The same record once more, perhaps by another own clock.
  if (sequence === recordSequence) return marks;
  if (isAhead(sequence, nowMs)) {
    if (sequence === aheadSequence) return marks;
    // What the peer publishes with a right clock from now on is above this, and all that it has published is not.
    const known = recordSequence === undefined ? 0 : recordSequence + 1;
    return { recordSequence: Math.max(secondsOf(nowMs) - AHEAD_S, known), aheadSequence: sequence };
  }
  const isStillAhead = aheadSequence !== undefined && isAhead(aheadSequence, nowMs);
  return { recordSequence: sequence, aheadSequence: isStillAhead ? aheadSequence + 1 : undefined };
}

/**
 * Which of two numbers that may be accepted is of the newer record: positive when it is `a`. A new number of a right clock
 * goes before all that are ahead: the peer's clock was set.
 */
export function compareSequences(a: number | undefined, b: number | undefined, judgement: Judgement): number {
  return rankOf(a, judgement) - rankOf(b, judgement) || (a ?? 0) - (b ?? 0);
}

interface Judgement {
  readonly marks: SequenceMarks;
  /** Wall clock. */
  readonly nowMs: number;
}

function rankOf(sequence: number | undefined, { marks, nowMs }: Judgement): number {
  if (sequence === undefined) return 0;
  if (isAhead(sequence, nowMs)) return 2;
  return sequence === marks.recordSequence ? 1 : 3;
}

function isAhead(sequence: number, nowMs: number): boolean {
  return sequence > secondsOf(nowMs) + AHEAD_S;
}

function secondsOf(nowMs: number): number {
  return Math.floor(nowMs / 1000);
}
