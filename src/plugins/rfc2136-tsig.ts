/**
 * TSIG, transaction signatures with a shared secret (RFC 8945): the last record of a message is a MAC of all before it.
 *
 * Only whole MACs are accepted (no truncation, section 5.2.2.1), and a reply's covers that of its request (section 5.3.1).
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { type DnsMessage, recordClass, recordType, uint16, uint32 } from "./rfc2136-message.ts";
import { DnsFormatError, decodeName, encodeName } from "./rfc2136-name.ts";

/** RFC 8945 section 6, by the names they have on the wire; what node:crypto calls each. */
const hashes = {
  "hmac-md5.sig-alg.reg.int": "md5",
  "hmac-sha1": "sha1",
  "hmac-sha224": "sha224",
  "hmac-sha256": "sha256",
  "hmac-sha384": "sha384",
  "hmac-sha512": "sha512",
} as const;

export type TsigAlgorithm = keyof typeof hashes;

/** As people write them. */
export const tsigAlgorithms = [
  "hmac-sha256",
  "hmac-sha512",
  "hmac-sha384",
  "hmac-sha224",
  "hmac-sha1",
  "hmac-md5",
] as const;

export interface TsigKey {
  /** Canonical. */
  readonly name: string;
  readonly algorithm: TsigAlgorithm;
  readonly secret: Buffer;
}

/** Section 10: how far the clocks may be apart. */
const FUDGE_SECONDS = 300;
const ARCOUNT_AT = 10;

export interface Tsig {
  readonly keyName: string;
  readonly algorithm: string;
  readonly timeSigned: number;
  readonly fudge: number;
  readonly mac: Buffer;
  readonly originalId: number;
  readonly error: number;
  readonly other: Buffer;
  /** Offset of the record in the message. */
  readonly offset: number;
}

export interface SignedMessage {
  readonly bytes: Buffer;
  readonly mac: Buffer;
}

/** `message`, which has no TSIG yet, with one. `nowSeconds` since 1970. */
export function signMessage(
  message: Buffer,
  { key, nowSeconds }: { readonly key: TsigKey; readonly nowSeconds: number },
): SignedMessage {
  const time = Buffer.concat([uint48(nowSeconds), uint16(FUDGE_SECONDS)]);
  const variables = { time, error: 0, other: Buffer.alloc(0) };
  const mac = computeMac(key, [message, tsigVariables(key, variables)]);
  const data = Buffer.concat([
    encodeName(key.algorithm),
    time,
    uint16(mac.length),
    mac,
    message.subarray(0, 2),
    uint16(0, 0),
  ]);
  const head = Buffer.concat([
    encodeName(key.name),
    uint16(recordType.TSIG, recordClass.ANY),
    uint32(0),
    uint16(data.length),
  ]);
  const bytes = Buffer.concat([message, head, data]);
  bytes.writeUInt16BE(bytes.readUInt16BE(ARCOUNT_AT) + 1, ARCOUNT_AT);
  return { bytes, mac };
}

/** The TSIG of a decoded message; undefined when there is none. Throws DnsFormatError when it is not the last record, or malformed. */
export function findTsig(message: DnsMessage): Tsig | undefined {
  const index = message.additional.findIndex(({ type }) => type === recordType.TSIG);
  const record = message.additional[index];
  if (!record) return undefined;
  if (index !== message.additional.length - 1) throw new DnsFormatError("its signature is not the last record");
  const { data } = record;
  // The algorithm's name must not be compressed (section 4.2): a pointer would lead out of `data` or be refused.
  const algorithm = decodeName(data, 0);
  let at = algorithm.end;
  function take(length: number): Buffer {
    if (at + length > data.length) throw new DnsFormatError("its signature is cut off");
    at += length;
    return data.subarray(at - length, at);
  }
  const timeSigned = take(6).readUIntBE(0, 6);
  const fudge = take(2).readUInt16BE();
  const mac = take(take(2).readUInt16BE());
  const originalId = take(2).readUInt16BE();
  const error = take(2).readUInt16BE();
  const other = take(take(2).readUInt16BE());
  if (at !== data.length) throw new DnsFormatError("something follows its signature");
  return {
    keyName: decodeName(message.bytes, record.offset).text,
    algorithm: algorithm.text,
    timeSigned,
    fudge,
    mac,
    originalId,
    error,
    other,
    offset: record.offset,
  };
}

/** Why the reply `bytes` with `tsig` is not to be trusted; undefined when it is genuine. The time is not looked at. */
export function whyNotGenuine(
  bytes: Buffer,
  { tsig, key, requestMac }: { readonly tsig: Tsig; readonly key: TsigKey; readonly requestMac: Buffer },
): string | undefined {
  if (tsig.keyName !== key.name || tsig.algorithm !== key.algorithm) return "it is signed with another key";
  const message = Buffer.from(bytes.subarray(0, tsig.offset));
  message.writeUInt16BE(tsig.originalId, 0);
  message.writeUInt16BE(message.readUInt16BE(ARCOUNT_AT) - 1, ARCOUNT_AT);
  const time = Buffer.concat([uint48(tsig.timeSigned), uint16(tsig.fudge)]);
  const variables = tsigVariables(key, { time, error: tsig.error, other: tsig.other });
  const expected = computeMac(key, [uint16(requestMac.length), requestMac, message, variables]);
  const isGenuine = expected.length === tsig.mac.length && timingSafeEqual(expected, tsig.mac);
  return isGenuine ? undefined : "its signature is wrong";
}

/** Whether `tsig` was made at `nowSeconds`, as far as the clocks may differ (section 5.2.3). */
export function isTimely(tsig: Tsig, nowSeconds: number): boolean {
  return Math.abs(nowSeconds - tsig.timeSigned) <= FUDGE_SECONDS;
}

/** What a MAC covers beside the message (section 4.3.3). */
function tsigVariables(
  key: TsigKey,
  { time, error, other }: { readonly time: Buffer; readonly error: number; readonly other: Buffer },
): Buffer {
  const head = [encodeName(key.name), uint16(recordClass.ANY), uint32(0), encodeName(key.algorithm)];
  return Buffer.concat([...head, time, uint16(error, other.length), other]);
}

function computeMac({ algorithm, secret }: TsigKey, parts: readonly Buffer[]): Buffer {
  return createHmac(hashes[algorithm], secret).update(Buffer.concat(parts)).digest();
}

function uint48(value: number): Buffer {
  const bytes = Buffer.alloc(6);
  bytes.writeUIntBE(value, 0, 6);
  return bytes;
}
