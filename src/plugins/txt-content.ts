/**
 * TXT records as text, the way providers and resolvers write them (RFC 1035 section 5.1): bare, in quotes, or as several
 * quoted strings, because one string holds at most 255 bytes.
 */
import { MAX_VALUE_CHARS } from "./value.ts";

/** The escape of a byte takes four characters (`\\065`). */
const MAX_CONTENT_CHARS = 4 * MAX_VALUE_CHARS;

/**
 * The value that a TXT record's text means: quoted strings are joined and their escapes (`\"`, `\065`) resolved; any other
 * text is the value itself, and so is one that is too long for a value.
 */
export function parseTxtContent(content: string): string {
  if (content.length > MAX_CONTENT_CHARS) return content;
  const text = content.trim();
  const parts: string[] = [];
  for (let at = 0; at < text.length; ) {
    const end = text[at] === '"' ? endOfString(text, at + 1) : undefined;
    if (end === undefined) return text;
    parts.push(resolveEscapes(text.slice(at + 1, end)));
    at = end + 1;
    while (text.charAt(at).trim() === "" && at < text.length) at++;
  }
  return parts.join("");
}

/** Where the quote is that ends the string which begins at `start`; undefined when none does. */
function endOfString(text: string, start: number): number | undefined {
  for (let at = start; at < text.length; at++) {
    if (text[at] === '"') return at;
    if (text[at] === "\\") at++;
  }
  return undefined;
}

function resolveEscapes(text: string): string {
  return text.replace(/\\(\d{3}|.)/gs, (_whole, escaped: string) =>
    escaped.length === 3 ? String.fromCharCode(Number(escaped)) : escaped,
  );
}
