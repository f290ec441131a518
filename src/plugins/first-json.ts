/**
 * Finds the first JSON object in the output of a program that may write more after it.
 *
 * Works on bytes: everything JSON gives a meaning to is ASCII, and no byte of a longer UTF-8 character is.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * The bytes of the object `bytes` begins with (white space before it is skipped); undefined when it begins with anything
 * else or the object does not end. Only braces and strings are looked at: the rest is for the JSON parser to judge.
 */
export function firstJsonObject(bytes: Uint8Array): Uint8Array | undefined {
  const start = bytes.findIndex((byte) => byte > 0x20);
  if (start < 0 || bytes[start] !== OPEN_BRACE) return undefined;
  let depth = 0;
  let inString = false;
  for (let at = start; at < bytes.length; at++) {
    const byte = bytes[at];
    if (inString) {
      if (byte === BACKSLASH) at++;
      else if (byte === QUOTE) inString = false;
    } else if (byte === QUOTE) inString = true;
    else if (byte === OPEN_BRACE) depth++;
    else if (byte === CLOSE_BRACE && --depth === 0) return bytes.subarray(start, at + 1);
  }
  return undefined;
}
