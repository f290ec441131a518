/**
 * The building blocks of netlink messages: numbers in the machine's byte order, and attributes (length, type, value;
 * padded to 4 bytes). Pure. netlink(7), rtnetlink(3).
 */
import { endianness } from "node:os";

const ATTRIBUTE_HEADER_BYTES = 4;
/** The two highest bits of a type are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER). */
const TYPE_MASK = 0x3fff;
const isLittleEndian = endianness() === "LE";

/** Values of attributes by type; views, not copies. */
export type Attributes = ReadonlyMap<number, Uint8Array>;

/** Decodes a sequence of attributes; undefined when a length does not fit. */
export function decodeAttributes(bytes: Uint8Array): Attributes | undefined {
  const attributes = new Map<number, Uint8Array>();
  for (let offset = 0; offset < bytes.length; ) {
    const length = uint16At(bytes, offset);
    const type = uint16At(bytes, offset + 2);
    if (length === undefined || type === undefined) return undefined;
    if (length < ATTRIBUTE_HEADER_BYTES || offset + length > bytes.length) return undefined;
    attributes.set(type & TYPE_MASK, bytes.subarray(offset + ATTRIBUTE_HEADER_BYTES, offset + length));
    offset += align(length);
  }
  return attributes;
}

/** The next multiple of 4. */
export function align(length: number): number {
  return (length + 3) & ~3;
}

/** The number at `offset`, or undefined beyond the end. */
export function uint16At(bytes: Uint8Array, offset: number): number | undefined {
  return offset + 2 <= bytes.length ? viewOf(bytes).getUint16(offset, isLittleEndian) : undefined;
}

/** The number at `offset`, or undefined beyond the end. */
export function uint32At(bytes: Uint8Array, offset: number): number | undefined {
  return offset + 4 <= bytes.length ? viewOf(bytes).getUint32(offset, isLittleEndian) : undefined;
}

/** A number attribute's value; undefined when it is absent or too short. */
export function uint32Of(attributes: Attributes, type: number): number | undefined {
  const value = attributes.get(type);
  return value && uint32At(value, 0);
}

/** A text attribute's value, up to its terminating zero; undefined when it is absent. */
export function textOf(attributes: Attributes, type: number): string | undefined {
  const value = attributes.get(type);
  return value && Buffer.from(value).toString().split("\0", 1)[0];
}

/** A value as text that can be compared; empty when it is absent. */
export function hexOf(attributes: Attributes, type: number): string {
  return Buffer.from(attributes.get(type) ?? []).toString("hex");
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
