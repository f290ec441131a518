/**
 * Values of STUN attributes. Each decoder gets the attribute, or undefined when the message has none, and throws an error
 * that names the place when the value is malformed.
 *
 * RFC 8489 section 14; RFC 5780 section 7; numbers from the IANA registry "STUN Attributes".
 */
import { type Family, formatIp } from "../address.ts";
import { StunmeshError } from "../errors.ts";

export const attributeTypes = {
  mappedAddress: 0x0001,
  /** RFC 5780 7.2; only in requests. */
  changeRequest: 0x0003,
  changedAddress: 0x0005,
  messageIntegrity: 0x0008,
  errorCode: 0x0009,
  messageIntegritySha256: 0x001c,
  xorMappedAddress: 0x0020,
  /** Of the drafts between RFC 3489 and RFC 5389; servers of that time still answer. */
  legacyXorMappedAddress: 0x8020,
  software: 0x8022,
  fingerprint: 0x8028,
  responseOrigin: 0x802b,
  otherAddress: 0x802c,
} as const;

/**
 * Comprehension-required attributes that change nothing in what a Binding answer means: addresses and credentials of
 * RFC 3489 and the authentication of RFC 8489.
 */
const harmlessRequired: ReadonlySet<number> = new Set([
  0x0002, // RESPONSE-ADDRESS
  0x0004, // SOURCE-ADDRESS
  0x0006, // USERNAME
  0x0007, // PASSWORD
  0x000a, // UNKNOWN-ATTRIBUTES
  0x000b, // REFLECTED-FROM
  0x0014, // REALM
  0x0015, // NONCE
  0x001d, // PASSWORD-ALGORITHM
  0x001e, // USERHASH
]);

const understood: ReadonlySet<number> = new Set(Object.values(attributeTypes));

/** An attribute's value and where its header starts, counted from the start of the message. */
export interface RawAttribute {
  readonly type: number;
  readonly value: Uint8Array;
  readonly offset: number;
}

/** Like a transport address, but as a server wrote it: the port may be 0. */
export interface StunAddress {
  readonly family: Family;
  readonly host: string;
  readonly port: number;
}

export interface StunErrorCode {
  /** 300..699 */
  readonly code: number;
  /** One printable line, possibly empty. */
  readonly reason: string;
}

/** False for a comprehension-required attribute (below 0x8000) that we do not know. */
export function isUnderstood(type: number): boolean {
  return type >= 0x8000 || understood.has(type) || harmlessRequired.has(type);
}

/** "attribute 0x0020", for messages. */
export function attributeName(type: number): string {
  return `attribute 0x${type.toString(16).padStart(4, "0")}`;
}

/** The error for bytes that are no STUN message; `where` names the place. */
export function malformed(where: string): StunmeshError {
  return new StunmeshError("STUN_UNUSABLE", `Cannot decode the STUN message: ${where}`);
}

/**
 * Decodes an address attribute of the message in `message`. XOR-MAPPED-ADDRESS is hidden under the magic cookie and, for
 * IPv6, the transaction ID, so that no NAT on the way rewrites it (RFC 8489 14.2).
 */
export function decodeAddress(attribute: RawAttribute | undefined, message: DataView): StunAddress | undefined {
  if (!attribute) return undefined;
  const { type, value, offset } = attribute;
  const [, familyByte, high = 0, low = 0] = value;
  const wantedLength = familyByte === 1 ? 8 : familyByte === 2 ? 20 : undefined;
  if (wantedLength === undefined || value.length !== wantedLength) {
    const family = familyByte ?? "none";
    throw malformed(`${attributeName(type)} at byte ${offset} has family ${family} and ${value.length} bytes`);
  }
  const isHidden = type === attributeTypes.xorMappedAddress || type === attributeTypes.legacyXorMappedAddress;
  // The cookie and the transaction ID lie side by side at bytes 4 to 19; the port is hidden under the cookie's first half.
  const mask = (index: number) => (isHidden ? message.getUint8(4 + index) : 0);
  const host = formatIp(value.slice(4).map((byte, index) => byte ^ mask(index)));
  return {
    // Not the family byte: an IPv4-mapped IPv6 address is an IPv4 address everywhere in the program.
    family: host.includes(":") ? "ipv6" : "ipv4",
    host,
    port: ((high ^ mask(0)) << 8) | (low ^ mask(1)),
  };
}

/** Decodes ERROR-CODE (RFC 8489 14.8). */
export function decodeErrorCode(attribute: RawAttribute | undefined): StunErrorCode | undefined {
  if (!attribute) return undefined;
  const { value, offset } = attribute;
  const [, , classByte = 0, number = 0] = value;
  const hundreds = classByte & 0b111;
  if (value.length < 4 || hundreds < 3 || hundreds > 6 || number > 99) {
    throw malformed(`ERROR-CODE at byte ${offset} has class ${hundreds}, number ${number} and ${value.length} bytes`);
  }
  return { code: hundreds * 100 + number, reason: printable(value.subarray(4)) };
}

/** Decodes a text attribute such as SOFTWARE to one printable line. */
export function decodeText(attribute: RawAttribute | undefined): string | undefined {
  return attribute && printable(attribute.value);
}

/** A stranger's text on its way to a log: one line, at most 127 characters (RFC 8489), no control characters. */
function printable(bytes: Uint8Array): string {
  return new TextDecoder()
    .decode(bytes)
    .replace(/[\p{C}\p{Z}]+/gu, " ")
    .trim()
    .slice(0, 127);
}
