/**
 * TXT records as text, the way providers and resolvers write them (RFC 1035 section 5.1): bare, in quotes, or as several
 * quoted strings, because one string holds at most 255 bytes.
 */

const quotedStrings = /^(?:"(?:[^"\\]|\\.)*"\s*)+$/s;

/**
 * The value that a TXT record's text means: quoted strings are joined and their escapes (`\"`, `\065`) resolved; any other
 * text is the value itself.
 */
export function parseTxtContent(content: string): string {
  const text = content.trim();
  if (!quotedStrings.test(text)) return text;
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"/gs)].map(([, inner = ""]) => resolveEscapes(inner)).join("");
}

function resolveEscapes(text: string): string {
  return text.replace(/\\(\d{3}|.)/gs, (_whole, escaped: string) =>
    escaped.length === 3 ? String.fromCharCode(Number(escaped)) : escaped,
  );
}
