/**
 * RESP2, the wire format of Redis: https://redis.io/docs/latest/develop/reference/protocol-spec/
 *
 * Strict and bounded: what a server of this protocol cannot have sent, and what is larger than we ever asked for, ends the
 * connection. Whatever the bytes are, no more than one reply of at most MAX_BULK_BYTES is held.
 */
import { StunmeshError } from "../errors.ts";

/** What stands in for an error reply; it is no exception, because it answers one command only. */
export interface ErrorReply {
  /** As the server wrote it: "WRONGPASS invalid username-password pair or user is disabled.". */
  readonly error: string;
}
/** Text of a status, number, bytes of a value, null for "there is none". */
export type Reply = string | number | Buffer | null | ErrorReply | readonly Reply[];

/** More than the 64 KiB a value may have. */
const MAX_BULK_BYTES = 80 * 1024;
const MAX_LINE_BYTES = 8 * 1024;
const MAX_ITEMS = 64;
const MAX_DEPTH = 3;

/** A command as the server reads it: an array of bulk strings. */
export function encodeCommand(args: readonly string[]): Buffer {
  const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`);
  return Buffer.from(`*${args.length}\r\n${parts.join("")}`);
}

export function isErrorReply(reply: Reply | undefined): reply is ErrorReply {
  return typeof reply === "object" && reply !== null && "error" in reply;
}

/** Makes a function that takes bytes as they come and returns the replies that are complete. It throws STORE_REPLY_INVALID. */
export function createReplyParser(): (chunk: Buffer) => readonly Reply[] {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    const replies: Reply[] = [];
    let offset = 0;
    for (;;) {
      const found = decodeReply(bytes, { offset, depth: 0 });
      if (!found) break;
      replies.push(found.reply);
      offset = found.end;
    }
    // A copy: a few bytes of the next reply must not keep a large chunk.
    rest = Buffer.from(bytes.subarray(offset));
    return replies;
  };
}

interface Decoded {
  readonly reply: Reply;
  /** Offset of what follows. */
  readonly end: number;
}

/** The reply at `offset`; undefined when it is not complete yet. */
function decodeReply(
  bytes: Buffer,
  { offset, depth }: { readonly offset: number; readonly depth: number },
): Decoded | undefined {
  const lineEnd = bytes.indexOf("\r\n", offset, "latin1");
  if (lineEnd < 0 || lineEnd - offset > MAX_LINE_BYTES) {
    if (bytes.length - offset > MAX_LINE_BYTES) throw invalid("a line of more than 8 KiB");
    const [first] = bytes.subarray(offset);
    if (first !== undefined && !"+-:$*".includes(String.fromCharCode(first))) throw invalid("it is no reply of Redis");
    return undefined;
  }
  const line = bytes.toString("utf8", offset + 1, lineEnd);
  const end = lineEnd + 2;
  switch (String.fromCharCode(bytes[offset] ?? 0)) {
    case "+":
      return { reply: line, end };
    case "-":
      return { reply: { error: line }, end };
    case ":":
      return { reply: parseNumber(line), end };
    case "$":
      return decodeBulk(bytes, { length: parseNumber(line), offset: end });
    case "*":
      return decodeArray(bytes, { length: parseNumber(line), offset: end, depth });
    default:
      throw invalid("it is no reply of Redis");
  }
}

function decodeBulk(
  bytes: Buffer,
  { length, offset }: { readonly length: number; readonly offset: number },
): Decoded | undefined {
  if (length === -1) return { reply: null, end: offset };
  if (length < 0 || length > MAX_BULK_BYTES) throw invalid("a value of more than 80 KiB");
  const end = offset + length;
  if (bytes.length < end + 2) return undefined;
  if (bytes.readUInt16BE(end) !== 0x0d0a) throw invalid("a value does not end where it should");
  return { reply: Buffer.from(bytes.subarray(offset, end)), end: end + 2 };
}

function decodeArray(
  bytes: Buffer,
  { length, offset, depth }: { readonly length: number; readonly offset: number; readonly depth: number },
): Decoded | undefined {
  if (length === -1) return { reply: null, end: offset };
  if (length < 0 || length > MAX_ITEMS || depth >= MAX_DEPTH) throw invalid("a list that is too long or too deep");
  const items: Reply[] = [];
  let end = offset;
  for (let index = 0; index < length; index++) {
    const item = decodeReply(bytes, { offset: end, depth: depth + 1 });
    if (!item) return undefined;
    items.push(item.reply);
    end = item.end;
  }
  return { reply: items, end };
}

function parseNumber(line: string): number {
  if (!/^-?\d{1,15}$/.test(line)) throw invalid("a number that is none");
  return Number(line);
}

function invalid(why: string): StunmeshError {
  return new StunmeshError("STORE_REPLY_INVALID", `the server's reply makes no sense: ${why}`);
}
