/**
 * Names in DNS messages (RFC 1035 sections 2.3.4, 3.1 and 4.1.4).
 *
 * Compression pointers only lead backwards and are counted, and names have at most 255 bytes.
 * As texts they are in lower case, without the final dot; bytes that are no printable ASCII, dots and backslashes in a label
 * are written `\DDD` (RFC 1035 section 5.1), so that different names have different texts.
 */

const MAX_NAME_BYTES = 255;
const MAX_POINTER = 0x3fff;
/** Of one name: it has no more labels, and a pointer that leads to no label says nothing. */
const MAX_POINTERS = 127;

/** Bytes that are no DNS message of this kind. */
export class DnsFormatError extends Error {}

/** A name without compression. It is one that parseDnsName let pass or decodeName made. */
export function encodeName(name: string): Buffer {
  return Buffer.concat([encodeLabels(name), Buffer.of(0)]);
}

/** Without the end: for a pointer to follow. */
export function encodeLabels(name: string): Buffer {
  if (name === "") return Buffer.alloc(0);
  return Buffer.concat(
    name.split(".").flatMap((label) => {
      const bytes = Buffer.from(
        label.replace(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(Number(code))),
        "latin1",
      );
      return [Buffer.of(bytes.length), bytes];
    }),
  );
}

/** The name at `offset`, and the offset of what follows it. Throws DnsFormatError. */
export function decodeName(bytes: Buffer, offset: number): { readonly text: string; readonly end: number } {
  const labels: string[] = [];
  let at = offset;
  let end: number | undefined;
  let total = 1;
  let pointers = 0;
  for (;;) {
    need(bytes, at, 1);
    const length = bytes[at] ?? 0;
    if (length >= 0xc0) {
      need(bytes, at, 2);
      const target = bytes.readUInt16BE(at) & MAX_POINTER;
      end ??= at + 2;
      // Strictly backwards: a name cannot go round in circles.
      if (target >= at) throw new DnsFormatError("a compression pointer does not lead backwards");
      if (++pointers > MAX_POINTERS) throw new DnsFormatError("a name of more than 127 compression pointers");
      at = target;
      continue;
    }
    if (length > 63) throw new DnsFormatError("a label of an unknown kind");
    if (length === 0) return { text: labels.join("."), end: end ?? at + 1 };
    need(bytes, at + 1, length);
    total += length + 1;
    if (total > MAX_NAME_BYTES) throw new DnsFormatError("a name of more than 255 bytes");
    labels.push(formatLabel(bytes.subarray(at + 1, at + 1 + length)));
    at += length + 1;
  }
}

/** The offset of what follows the name at `offset`, wherever pointers in it may lead. Throws DnsFormatError. */
export function skipName(bytes: Buffer, offset: number): number {
  for (let at = offset; ; ) {
    need(bytes, at, 1);
    const length = bytes[at] ?? 0;
    if (length === 0) return at + 1;
    if (length >= 0xc0) {
      need(bytes, at, 2);
      return at + 2;
    }
    if (length > 63) throw new DnsFormatError("a label of an unknown kind");
    at += length + 1;
    if (at - offset >= MAX_NAME_BYTES) throw new DnsFormatError("a name of more than 255 bytes");
  }
}

function formatLabel(label: Buffer): string {
  return label
    .toString("latin1")
    .toLowerCase()
    .replace(/[^\x21-\x7e]|[.\\]/g, (char) => `\\${String(char.charCodeAt(0)).padStart(3, "0")}`);
}

/** The canonical text of a name of the usual kind (letters, digits, hyphens, underscores); undefined when it is none. */
export function parseDnsName(text: string): string | undefined {
  const name = text.replace(/\.$/, "").toLowerCase();
  if (name.length > MAX_NAME_BYTES - 2) return undefined;
  return /^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(name) ? name : undefined;
}

/** Throws DnsFormatError unless `length` bytes are there at `offset`. */
export function need(bytes: Buffer, offset: number, length: number): void {
  if (offset + length > bytes.length) throw new DnsFormatError("it is cut off");
}
