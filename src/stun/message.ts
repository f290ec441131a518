/**
 * STUN messages on the wire: encodes a Binding request, decodes any message. Nothing here waits, sends or judges.
 *
 * Invariant: whatever the bytes, decodeMessage() either throws an error that names the place or returns a message whose
 * every field was inside the datagram. MESSAGE-INTEGRITY is tolerated and never verified: a Binding transaction with a
 * public server has no credentials to verify it with. FINGERPRINT is verified when it is there.
 *
 * RFC 8489 sections 5 (header), 14 (attributes) and 14.7 (FINGERPRINT).
 */
import { crc32 } from "node:zlib";
import {
  attributeName,
  attributeTypes,
  decodeAddress,
  decodeErrorCode,
  decodeText,
  isUnderstood,
  malformed,
  type RawAttribute,
  type StunAddress,
  type StunErrorCode,
} from "./attributes.ts";

/** Second word of every message (RFC 8489 section 5). */
export const magicCookie = 0x2112a442;
const MAGIC_COOKIE_OFFSET = 4;

/** What a probe socket has to look for in a UDP payload to deliver STUN and nothing else. */
export const stunMatch = { offset: MAGIC_COOKIE_OFFSET, value: magicCookie } as const;

export const transactionIdBytes = 12;
const TRANSACTION_ID_OFFSET = 8;
const HEADER_BYTES = 20;
const BINDING_REQUEST = 0x0001;
const BINDING_INDICATION = 0x0011;
/** Header and flags. */
const CHANGE_REQUEST_BYTES = 8;
const FINGERPRINT_XOR = 0x5354554e;

/** The only method we speak. */
export const bindingMethod = 0x001;

/** In the order of their bits C1 C0. */
const messageClasses = ["request", "indication", "success", "error"] as const;

export interface StunMessage {
  readonly method: number;
  readonly messageClass: (typeof messageClasses)[number];
  readonly transactionId: Uint8Array;
  /** XOR-MAPPED-ADDRESS, else its forerunner 0x8020, else MAPPED-ADDRESS (servers of RFC 3489 know only that). */
  readonly mapped: StunAddress | undefined;
  /** OTHER-ADDRESS of RFC 5780, else CHANGED-ADDRESS of RFC 3489; undefined when absent or unreadable. */
  readonly otherAddress: StunAddress | undefined;
  /** RESPONSE-ORIGIN of RFC 5780; undefined when absent or unreadable. */
  readonly responseOrigin: StunAddress | undefined;
  /** ERROR-CODE; only an error response has one. */
  readonly error: StunErrorCode | undefined;
  readonly software: string | undefined;
  /** Comprehension-required attributes nobody here understands: the message must not be acted on (RFC 8489 6.3). */
  readonly unknownRequired: readonly number[];
}

/** What the server is asked to answer from instead of where it was asked: CHANGE-REQUEST of RFC 5780 7.2. */
export interface ChangeRequest {
  /** From its other IP address. */
  readonly address: boolean;
  /** From its other port. */
  readonly port: boolean;
}

/**
 * Encodes a Binding request, without attributes unless `change` is given. A transaction ID of other than 12 bytes throws
 * a RangeError.
 */
export function encodeBindingRequest(transactionId: Uint8Array, change?: ChangeRequest): Uint8Array {
  if (transactionId.length !== transactionIdBytes) {
    throw new RangeError(
      `Cannot encode a Binding request: a transaction ID of ${transactionId.length} bytes, 12 wanted`,
    );
  }
  const bytes = new Uint8Array(HEADER_BYTES + (change ? CHANGE_REQUEST_BYTES : 0));
  const view = viewOf(bytes);
  if (change) {
    view.setUint16(2, CHANGE_REQUEST_BYTES);
    view.setUint16(HEADER_BYTES, attributeTypes.changeRequest);
    view.setUint16(HEADER_BYTES + 2, 4);
    view.setUint32(HEADER_BYTES + 4, (change.address ? 0b100 : 0) | (change.port ? 0b010 : 0));
  }
  view.setUint16(0, BINDING_REQUEST);
  view.setUint32(MAGIC_COOKIE_OFFSET, magicCookie);
  bytes.set(transactionId, TRANSACTION_ID_OFFSET);
  return bytes;
}

/** Encodes a Binding indication without attributes: it asks for nothing. A transaction ID of other than 12 bytes throws a RangeError. */
export function encodeBindingIndication(transactionId: Uint8Array): Uint8Array {
  const bytes = encodeBindingRequest(transactionId);
  viewOf(bytes).setUint16(0, BINDING_INDICATION);
  return bytes;
}

/** True for a datagram that begins as a Binding indication does; its attributes are not looked at. */
export function isBindingIndication(bytes: Uint8Array): boolean {
  if (bytes.length < HEADER_BYTES) return false;
  const view = viewOf(bytes);
  return view.getUint16(0) === BINDING_INDICATION && view.getUint32(MAGIC_COOKIE_OFFSET) === magicCookie;
}

/** The 12 bytes where a message has its transaction ID; undefined when `bytes` is too short to be a message. */
export function readTransactionId(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  return bytes.subarray(TRANSACTION_ID_OFFSET, HEADER_BYTES);
}

/**
 * Decodes one message at the start of `bytes`; what follows it is ignored. Throws a StunmeshError that names the place
 * when it is malformed or its FINGERPRINT is wrong.
 */
export function decodeMessage(bytes: Uint8Array): StunMessage {
  const view = viewOf(bytes);
  const { type, end } = readHeader(view);
  const messageClass = messageClasses[((type >> 7) & 0b10) | ((type >> 4) & 0b01)] ?? "request";
  const { first, unknownRequired } = collectAttributes(view, end);
  const address = (attributeType: number) => decodeAddress(first.get(attributeType), view);
  return {
    method: (type & 0x000f) | ((type & 0x00e0) >> 1) | ((type & 0x3e00) >> 2),
    messageClass,
    transactionId: Uint8Array.from(bytes.subarray(TRANSACTION_ID_OFFSET, HEADER_BYTES)),
    mapped:
      address(attributeTypes.xorMappedAddress) ??
      address(attributeTypes.legacyXorMappedAddress) ??
      address(attributeTypes.mappedAddress),
    otherAddress: ifReadable(() => address(attributeTypes.otherAddress) ?? address(attributeTypes.changedAddress)),
    responseOrigin: ifReadable(() => address(attributeTypes.responseOrigin)),
    error: messageClass === "error" ? decodeErrorCode(first.get(attributeTypes.errorCode)) : undefined,
    software: decodeText(first.get(attributeTypes.software)),
    unknownRequired,
  };
}

function readHeader(view: DataView): { readonly type: number; readonly end: number } {
  if (view.byteLength < HEADER_BYTES) throw malformed(`${view.byteLength} bytes, at least ${HEADER_BYTES} wanted`);
  const type = view.getUint16(0);
  // The two zero bits tell STUN from other protocols on the same port.
  if (type > 0x3fff) throw malformed(`message type 0x${type.toString(16)} at byte 0 has its first two bits set`);
  const cookie = view.getUint32(MAGIC_COOKIE_OFFSET);
  if (cookie !== magicCookie) throw malformed(`magic cookie 0x${cookie.toString(16)} at byte 4, 0x2112a442 wanted`);
  const length = view.getUint16(2);
  const end = HEADER_BYTES + length;
  if (end > view.byteLength)
    throw malformed(`length ${length} at byte 2, but ${view.byteLength - HEADER_BYTES} follow`);
  return { type, end };
}

/** The first attribute of each type, which is the one that counts (RFC 8489 section 14). */
function collectAttributes(view: DataView, end: number) {
  const first = new Map<number, RawAttribute>();
  const unknownRequired: number[] = [];
  let protectedEnd = false;
  for (const attribute of readAttributes(view, end)) {
    const { type } = attribute;
    if (type === attributeTypes.fingerprint) checkFingerprint(attribute, { view, end });
    // Anybody can append to an integrity-protected message: what follows the protection is ignored (RFC 8489 14.5).
    if (protectedEnd || first.has(type)) continue;
    first.set(type, attribute);
    if (type === attributeTypes.messageIntegrity || type === attributeTypes.messageIntegritySha256) protectedEnd = true;
    if (!isUnderstood(type)) unknownRequired.push(type);
  }
  return { first, unknownRequired };
}

/**
 * The one place that walks attributes: type, length, value, padding to 4 bytes, never beyond `end`. RFC 3489 knew no padding,
 * and servers of its time put odd texts between addresses: what cannot be walked with padding is walked without.
 */
function readAttributes(view: DataView, end: number): readonly RawAttribute[] {
  try {
    return walkAttributes(view, { end, unit: 4 });
  } catch (error) {
    try {
      return walkAttributes(view, { end, unit: 1 });
    } catch {
      throw error;
    }
  }
}

function walkAttributes(
  view: DataView,
  { end, unit }: { readonly end: number; readonly unit: 1 | 4 },
): readonly RawAttribute[] {
  const attributes: RawAttribute[] = [];
  for (let offset = HEADER_BYTES; offset < end; ) {
    const start = offset + 4;
    if (start > end) throw malformed(`${end - offset} bytes at byte ${offset} are no attribute`);
    const type = view.getUint16(offset);
    const length = view.getUint16(offset + 2);
    if (start + length > end) {
      throw malformed(`${attributeName(type)} at byte ${offset} has ${length} bytes, but ${end - start} follow`);
    }
    attributes.push({ type, offset, value: new Uint8Array(view.buffer, view.byteOffset + start, length) });
    offset = start + Math.ceil(length / unit) * unit;
  }
  return attributes;
}

function checkFingerprint({ value, offset }: RawAttribute, { view, end }: { view: DataView; end: number }): void {
  if (value.length !== 4) throw malformed(`FINGERPRINT at byte ${offset} has ${value.length} bytes, 4 wanted`);
  if (offset + 8 !== end) throw malformed(`FINGERPRINT at byte ${offset} is not the last attribute`);
  const covered = new Uint8Array(view.buffer, view.byteOffset, offset);
  const wanted = (crc32(covered) ^ FINGERPRINT_XOR) >>> 0;
  if (viewOf(value).getUint32(0) !== wanted) throw malformed(`FINGERPRINT at byte ${offset} does not match`);
}

/** Optional attributes that we could live without must not cost us the answer. */
function ifReadable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
