/**
 * Text that may have come from outside, made fit for a terminal and a log: the one place that knows what can move a cursor,
 * end a line, or turn the reading direction round.
 */

const LINE_ENDS = /[\t-\r\u0085\u2028\u2029]+/g;
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
/** Of JSON on one line, where what is below U+0020 is escaped already, and ends of lines and colours are our own. */
const UNPRINTABLE_IN_JSON = /[\u007f-\u009f\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** One line: ends of lines become spaces, everything else that does not print a question mark. */
export function printable(text: string): string {
  return text.replace(LINE_ENDS, " ").replace(UNPRINTABLE, "?");
}

/** The same text of JSON, in which everything that does not print is escaped: who parses it gets what was there. */
export function escapeJson(json: string): string {
  return json.replace(UNPRINTABLE_IN_JSON, (char) =>
    Array.from(
      { length: char.length },
      (_, index) => `\\u${char.charCodeAt(index).toString(16).padStart(4, "0")}`,
    ).join(""),
  );
}

/** JSON on one line, for a terminal. */
export function printableJson(value: unknown): string {
  return escapeJson(JSON.stringify(value));
}
