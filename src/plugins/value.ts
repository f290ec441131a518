/**
 * The text of a stored value, before anybody believes it: whoever may write to a store may write anything, so that what
 * is done here takes a time that grows with its length and no faster.
 */

/** More than any sealed record has. What is longer is no value of ours, and not worth any work. */
export const MAX_VALUE_CHARS = 64 * 1024;

/** `text` without the line ends at its end, which editors, `echo` and services add; as it is when it is too long to be a value. */
export function withoutLineEnds(text: string): string {
  return text.length > MAX_VALUE_CHARS ? text : withoutEnd(text, "\r\n");
}

/** `text` without those of `characters` that stand at its end. A loop: `/x+$/` begins anew at every x. */
export function withoutEnd(text: string, characters: string): string {
  let end = text.length;
  while (end > 0 && characters.includes(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

/** `text` without those of `characters` that stand at its beginning. */
export function withoutStart(text: string, characters: string): string {
  let start = 0;
  while (start < text.length && characters.includes(text.charAt(start))) start++;
  return text.slice(start);
}
