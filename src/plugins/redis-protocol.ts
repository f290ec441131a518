/**
 * RESP2, the wire format of Redis: https://redis.io/docs/latest/develop/reference/protocol-spec/
 *
 * Strict and bounded: what a server of this protocol cannot have sent, and what is larger than we ever asked for, ends the
 * connection. Whatever the bytes are and however they are cut, no more than one reply of at most MAX_REPLY_BYTES and
 * MAX_ITEMS items is held, and each byte is looked at once.
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
/** Of one reply, however its lists are nested: a value and what is around it. */
const MAX_REPLY_BYTES = MAX_BULK_BYTES + 2 * MAX_LINE_BYTES;
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

/** A list of which items are missing. */
interface OpenList {
  readonly items: Reply[];
  readonly length: number;
}
/** A value of which bytes are missing; CR and LF included. */
interface OpenBulk {
  readonly bytes: Buffer;
  filled: number;
}

/** Makes a function that takes bytes as they come and returns the replies that are complete. It throws STORE_REPLY_INVALID. */
export function createReplyParser(): (chunk: Buffer) => readonly Reply[] {
  /** The beginning of a line whose end has not come. */
  const line = Buffer.alloc(MAX_LINE_BYTES);
  let lineBytes = 0;
  let bulk: OpenBulk | undefined;
  /** Lists inside one another, the innermost last. */
  const lists: OpenList[] = [];
  /** Of the reply that is being read. */
  let replyBytes = 0;
  let replyItems = 0;

  /** Reads up to the end of the line, or of the chunk. The reply that begins and ends there, if it is one. */
  function readLine(chunk: Buffer, offset: number): { readonly reply?: Reply; readonly end: number } {
    const newline = chunk.indexOf(0x0a, offset);
    const end = newline < 0 ? chunk.length : newline + 1;
    if (lineBytes + end - offset > MAX_LINE_BYTES) throw invalid("a line of more than 8 KiB");
    chunk.copy(line, lineBytes, offset, end);
    lineBytes += end - offset;
    const kind = String.fromCharCode(line[0] ?? 0);
    if (!"+-:$*".includes(kind)) throw invalid("it is no reply of Redis");
    if (newline < 0) return { end };
    if (lineBytes < 3 || line[lineBytes - 2] !== 0x0d) throw invalid("a line does not end where it should");
    const text = line.toString("utf8", 1, lineBytes - 2);
    count(lineBytes);
    lineBytes = 0;
    const reply = beginReply(kind, text);
    return reply === undefined ? { end } : { reply, end };
  }

  /** What a line says; undefined when it only begins something longer. */
  function beginReply(kind: string, text: string): Reply | undefined {
    if (kind === "+") return text;
    if (kind === "-") return { error: text };
    const number = parseNumber(text);
    if (kind === ":") return number;
    if (number === -1) return null;
    if (kind === "$") {
      if (number < 0 || number > MAX_BULK_BYTES) throw invalid("a value of more than 80 KiB");
      // Before the bytes come, so that what is too much takes no memory.
      count(number + 2);
      bulk = { bytes: Buffer.alloc(number + 2), filled: 0 };
      return undefined;
    }
    replyItems += number;
    if (number < 0 || replyItems > MAX_ITEMS || lists.length >= MAX_DEPTH) {
      throw invalid("a list that is too long or too deep");
    }
    if (number === 0) return [];
    lists.push({ items: [], length: number });
    return undefined;
  }

  function readBulk(
    open: OpenBulk,
    { chunk, offset }: { readonly chunk: Buffer; readonly offset: number },
  ): { readonly reply?: Reply; readonly end: number } {
    const { bytes } = open;
    const copied = chunk.copy(bytes, open.filled, offset);
    open.filled += copied;
    const end = offset + copied;
    if (open.filled < bytes.length) return { end };
    if (bytes.readUInt16BE(bytes.length - 2) !== 0x0d0a) throw invalid("a value does not end where it should");
    bulk = undefined;
    return { reply: bytes.subarray(0, -2), end };
  }

  function count(bytes: number): void {
    replyBytes += bytes;
    if (replyBytes > MAX_REPLY_BYTES) throw invalid("a reply of more than 96 KiB");
  }

  /** Puts `reply` into the list it belongs to; what is complete with it, if that is all of a reply. */
  function finish(reply: Reply): Reply | undefined {
    let whole = reply;
    for (let list = lists.at(-1); list; list = lists.at(-1)) {
      list.items.push(whole);
      if (list.items.length < list.length) return undefined;
      lists.pop();
      whole = list.items;
    }
    replyBytes = 0;
    replyItems = 0;
    return whole;
  }

  return (chunk) => {
    const replies: Reply[] = [];
    for (let offset = 0; offset < chunk.length; ) {
      const { reply, end } = bulk ? readBulk(bulk, { chunk, offset }) : readLine(chunk, offset);
      offset = end;
      const whole = reply === undefined ? undefined : finish(reply);
      if (whole !== undefined) replies.push(whole);
    }
    return replies;
  };
}

function parseNumber(line: string): number {
  if (!/^-?\d{1,15}$/.test(line)) throw invalid("a number that is none");
  return Number(line);
}

function invalid(why: string): StunmeshError {
  return new StunmeshError("STORE_REPLY_INVALID", `the server's reply makes no sense: ${why}`);
}
