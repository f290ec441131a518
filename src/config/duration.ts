/**
 * Durations in a configuration file: the grammar of Go's time.ParseDuration, because existing files use it. One or more
 * numbers with a unit, such as `30s`, `1m30s`, `1.5h`; units ns, us, µs, ms, s, m, h; no days.
 *
 * Invariant: a duration is a whole number of milliseconds from 1 to MAX_DURATION_MS. A number without a unit is never
 * guessed at: 60 was nanoseconds to one program and is seconds to most people.
 */

import { quoteValue } from "./report.ts";

/** 24 days: the longest whole-day wait that a timer of Node (2^31 - 1 ms) can do. */
export const MAX_DURATION_MS = 24 * 24 * 3_600_000;

const nanosecondsPerUnit: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** `\d*` only behind a point: two ways to read a number would be two to the power of n ways to read n of them. */
const term = /(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)/gy;
const whole = /^[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/;
/** What an editor is told: without the sign, which is only recognized to be refused. */
export const durationPattern = whole.source.replace("[+-]?", "");
const bareNumber = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)$/;

type ParsedDuration = { readonly ms: number } | { readonly problem: string };

/**
 * Parses a positive duration. Parts of a millisecond are rounded up, so that nothing positive becomes 0. `problem` says
 * what is wrong with the text, to be put behind the name of the key: `"60" has no unit: write 60s`.
 */
export function parseDuration(text: string): ParsedDuration {
  const quoted = quoteValue(text);
  if (bareNumber.test(text)) {
    if (Number(text) <= 0) return { problem: `${quoted} must be more than 0, with a unit: such as 30s` };
    return { problem: `${quoted} has no unit: write ${text.slice(0, 60)}s` };
  }
  if (!whole.test(text)) return { problem: `${quoted} is not a duration such as 30s, 1m30s or 10m (units: ms s m h)` };
  let nanoseconds = 0;
  for (const [, number = "", unit = ""] of text.replace(/^[+-]/, "").matchAll(term)) {
    // Rounded per term: 1.1 * 1e9 is a little more than 1,100,000,000 and would be rounded up by one millisecond.
    nanoseconds += Math.round(Number(number) * (nanosecondsPerUnit[unit] ?? Number.NaN));
  }
  if (text.startsWith("-") || nanoseconds === 0) return { problem: `${quoted} must be more than 0` };
  const ms = Math.ceil(nanoseconds / 1e6);
  if (ms > MAX_DURATION_MS) return { problem: `${quoted} is too long: at most 24 days (576h)` };
  return { ms };
}
