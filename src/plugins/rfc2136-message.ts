/**
 * DNS messages (RFC 1035 section 4), as far as an update (RFC 2136) and a TXT query need them.
 *
 * Decoding is strict and bounded: counts are what is there, and nothing may follow. What nobody asks for is passed over and
 * not decoded: by pointers a message of 64 KiB can hold 4,000 names of 255 bytes.
 */
import { DnsFormatError, decodeName, encodeLabels, encodeName, need, skipName } from "./rfc2136-name.ts";

export const recordType = { SOA: 6, TXT: 16, TSIG: 250 } as const;
export const recordClass = { IN: 1, ANY: 255 } as const;
export const opcode = { QUERY: 0, UPDATE: 5 } as const;

const HEADER_BYTES = 12;
/** Of a record, behind its name: type, class, TTL, length of the data. */
const RECORD_BYTES = 10;

export interface DnsHeader {
  readonly id: number;
  readonly isResponse: boolean;
  readonly opcode: number;
  /** TC: the reply did not fit into a datagram. */
  readonly isTruncated: boolean;
  readonly rcode: number;
}

export interface DnsQuestion {
  readonly name: string;
  readonly type: number;
  readonly class: number;
}

/** Without its name, which is at `offset`: decodeName. */
export interface DnsRecord {
  readonly type: number;
  readonly class: number;
  readonly ttlSeconds: number;
  /** RDATA as it stands in the message: names in it may be compressed. */
  readonly data: Buffer;
  /** Offset of the record in the message. */
  readonly offset: number;
}

export interface DnsMessage extends DnsHeader {
  /** All of it. */
  readonly bytes: Buffer;
  readonly questions: readonly DnsQuestion[];
  readonly answers: readonly DnsRecord[];
  readonly additional: readonly DnsRecord[];
}

/** A TXT query; asks for recursion, which a server that has the zone ignores. */
export function encodeTxtQuery({ id, name }: { readonly id: number; readonly name: string }): Buffer {
  const header = uint16(id, 0x0100, 1, 0, 0, 0);
  return Buffer.concat([header, encodeName(name), uint16(recordType.TXT, recordClass.IN)]);
}

/** An update that replaces every TXT record of `name` by one with `value`, in one step (RFC 2136 sections 2.5.2 and 2.5.1). */
export function encodeTxtUpdate(options: {
  readonly id: number;
  readonly zone: string;
  /** In the zone. */
  readonly name: string;
  readonly value: string;
  readonly ttlSeconds: number;
}): Buffer {
  const { id, zone, name, value, ttlSeconds } = options;
  const header = uint16(id, opcode.UPDATE << 11, 1, 0, 2, 0);
  const zoneSection = Buffer.concat([encodeName(zone), uint16(recordType.SOA, recordClass.IN)]);
  // Pointers (RFC 1035 section 4.1.4) keep an update with a usual value below the 512 bytes of a datagram.
  const below = name === zone ? "" : name.slice(0, -zone.length - 1);
  const owner = Buffer.concat([encodeLabels(below), pointer(HEADER_BYTES)]);
  const ownerAt = pointer(HEADER_BYTES + zoneSection.length);
  const text = encodeTxt(value);
  const deleteAll = Buffer.concat([owner, uint16(recordType.TXT, recordClass.ANY), uint32(0), uint16(0)]);
  const addType = uint16(recordType.TXT, recordClass.IN);
  const add = Buffer.concat([ownerAt, addType, uint32(ttlSeconds), uint16(text.length), text]);
  return Buffer.concat([header, zoneSection, deleteAll, add]);
}

/** Decodes the beginning of a message, which tells whom it is for. Throws DnsFormatError. */
export function decodeHeader(bytes: Buffer): DnsHeader {
  if (bytes.length < HEADER_BYTES) throw new DnsFormatError("it is shorter than a header");
  const flags = bytes.readUInt16BE(2);
  return {
    id: bytes.readUInt16BE(0),
    isResponse: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 15,
    isTruncated: (flags & 0x0200) !== 0,
    rcode: flags & 15,
  };
}

/** Decodes a whole message, but no names of records. Throws DnsFormatError. */
export function decodeMessage(bytes: Buffer): DnsMessage {
  const header = decodeHeader(bytes);
  if (bytes.readUInt16BE(4) > 1) throw new DnsFormatError("it has more than one question");
  let offset = HEADER_BYTES;
  function readQuestion(): DnsQuestion {
    const name = decodeName(bytes, offset);
    need(bytes, name.end, 4);
    offset = name.end + 4;
    return { name: name.text, type: bytes.readUInt16BE(name.end), class: bytes.readUInt16BE(name.end + 2) };
  }
  function readRecord(): DnsRecord {
    const start = offset;
    const fixed = skipName(bytes, start);
    need(bytes, fixed, RECORD_BYTES);
    const length = bytes.readUInt16BE(fixed + 8);
    const dataStart = fixed + RECORD_BYTES;
    need(bytes, dataStart, length);
    offset = dataStart + length;
    return {
      type: bytes.readUInt16BE(fixed),
      class: bytes.readUInt16BE(fixed + 2),
      ttlSeconds: bytes.readUInt32BE(fixed + 4),
      data: bytes.subarray(dataStart, offset),
      offset: start,
    };
  }
  // Every item takes more than a byte, so that a count is no reason to allocate: the loops end where the message does.
  const many = <Item>(count: number, read: () => Item) => Array.from({ length: count }, read);
  // A truncated reply may end anywhere: its sections are of no use.
  if (header.isTruncated)
    return { ...header, bytes, questions: many(bytes.readUInt16BE(4), readQuestion), answers: [], additional: [] };
  const questions = many(bytes.readUInt16BE(4), readQuestion);
  const answers = many(bytes.readUInt16BE(6), readRecord);
  many(bytes.readUInt16BE(8), readRecord);
  const additional = many(bytes.readUInt16BE(10), readRecord);
  if (offset !== bytes.length) throw new DnsFormatError("something follows its end");
  return { ...header, bytes, questions, answers, additional };
}

/** TXT RDATA: strings of at most 255 bytes. */
export function encodeTxt(value: string): Buffer {
  const bytes = Buffer.from(value);
  const parts: Buffer[] = [];
  for (let start = 0; start < bytes.length || start === 0; start += 255) {
    const part = bytes.subarray(start, start + 255);
    parts.push(Buffer.of(part.length), part);
  }
  return Buffer.concat(parts);
}

/** The strings of TXT RDATA, joined. Throws DnsFormatError, also when they are not UTF-8. */
export function decodeTxt(data: Buffer): string {
  const parts: Buffer[] = [];
  for (let at = 0; at < data.length; ) {
    const length = data[at] ?? 0;
    need(data, at + 1, length);
    parts.push(data.subarray(at + 1, at + 1 + length));
    at += 1 + length;
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(parts));
  } catch {
    throw new DnsFormatError("a text is not UTF-8");
  }
}

export function uint16(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, index) => {
    bytes.writeUInt16BE(value, index * 2);
  });
  return bytes;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** RFC 1035 section 4.1.4. */
function pointer(offset: number): Buffer {
  return uint16(0xc000 | offset);
}
