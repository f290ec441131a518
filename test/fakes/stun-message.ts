/**
 * Writes the messages that a STUN server sends. Shares no code with src/stun, so that the two can check each other.
 * RFC 8489 sections 5 and 14.
 */
import { crc32 } from "node:zlib";
import { parseIp } from "../../src/address.ts";

type Bytes = Uint8Array;

interface Endpoint {
  readonly host: string;
  readonly port: number;
}

interface MessageFields {
  readonly type: number;
  readonly transactionId: Bytes;
  readonly attributes?: readonly Bytes[];
  readonly cookie?: number;
  readonly fingerprint?: boolean;
}

/** A whole message; `fingerprint` appends a correct FINGERPRINT. */
export function encodeMessage({ type, transactionId, attributes = [], cookie = 0x2112a442, ...rest }: MessageFields) {
  const body = Buffer.concat(attributes);
  const header = Buffer.alloc(8);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(body.length + (rest.fingerprint ? 8 : 0), 2);
  header.writeUInt32BE(cookie, 4);
  const message = Buffer.concat([header, transactionId, body]);
  if (!rest.fingerprint) return message;
  const value = Buffer.alloc(4);
  value.writeUInt32BE((crc32(message) ^ 0x5354554e) >>> 0);
  return Buffer.concat([message, encodeAttribute(0x8028, value)]);
}

/** Type, length, value, zeros up to a multiple of 4. */
export function encodeAttribute(type: number, value: Bytes): Bytes {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}

/** MAPPED-ADDRESS (0x0001), OTHER-ADDRESS (0x802c) and their like. */
export function encodeAddress(type: number, { host, port }: Endpoint): Bytes {
  const ip = parseIp(host) ?? Buffer.alloc(4);
  const value = Buffer.from([0, ip.length === 4 ? 1 : 2, port >> 8, port & 0xff, ...ip]);
  return encodeAttribute(type, value);
}

/** XOR-MAPPED-ADDRESS. */
export function encodeXorAddress(address: Endpoint, transactionId: Bytes, type = 0x0020): Bytes {
  const attribute = Buffer.from(encodeAddress(type, address));
  const mask = Buffer.concat([Buffer.from("2112a442", "hex"), transactionId]);
  const body = attribute.subarray(8);
  for (const [index, byte] of body.entries()) body[index] = byte ^ (mask[index] ?? 0);
  attribute.writeUInt16BE(address.port ^ 0x2112, 6);
  return attribute;
}

/** ERROR-CODE. */
export function encodeErrorCode(code: number, reason: string): Bytes {
  return encodeAttribute(0x0009, Buffer.concat([Buffer.from([0, 0, code / 100, code % 100]), Buffer.from(reason)]));
}
