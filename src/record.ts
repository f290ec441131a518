/**
 * What is published for a peer: the storage keys, the plain text inside the box, and the checks on what a peer published.
 *
 * Storage keys, box and the members `ipv4` and `ipv6` are STUNMESH-go's and frozen by test vectors. It ignores the others
 * (docs/wire-formats.md). Two protect against replay, one lets the peer explain why there is no connection:
 *   seq  a whole number that only grows, so that an older record is noticed
 *   dir  0 when the sender's public key is the lower one of the two, 1 when it is the higher, so that a record which was
 *        copied into the other direction's slot is noticed (the box itself is the same in both directions)
 *   nat  how the sender's NAT maps
 */
import { createHash } from "node:crypto";
import {
  type EndpointRecord,
  type Family,
  formatTransportAddress,
  parseTransportAddress,
  sameTransportAddress,
  whyNotAnEndpoint,
} from "./address.ts";
import { createOpener, sealBox, sealedChars } from "./box.ts";
import { StunmeshError } from "./errors.ts";
import { isSequence, markAbove, type SequenceMarks } from "./sequence.ts";

/** The two ends of a record, 32-byte public keys. */
export interface Direction {
  readonly senderKey: Uint8Array;
  readonly receiverKey: Uint8Array;
}

const natClasses = ["eim", "dep", "none"] as const;

/** How a NAT maps: endpoint-independent; per destination; there is no NAT. */
export type NatClass = (typeof natClasses)[number];

export interface PeerRecord {
  readonly endpoints: EndpointRecord;
  /** Missing in records of STUNMESH-go. */
  readonly sequence?: number;
  /** Of the sender; missing when it is not known. */
  readonly nat?: NatClass;
  /** It has members that STUNMESH-go does not write. */
  readonly isExtended?: boolean;
}

/** Where `senderKey` publishes for `receiverKey`: 40 hexadecimal characters, SHA-1 of the two keys. */
export function storageKey({ senderKey, receiverKey }: Direction): string {
  return createHash("sha1").update(senderKey).update(receiverKey).digest("hex");
}

/**
 * Seals `record` for the receiver. Members beyond STUNMESH-go's are left out, `nat` first, then `seq`, then `dir`, when
 * the sealed text would be longer than `maxChars`.
 */
export function sealRecord(
  record: PeerRecord,
  options: Direction & { readonly privateKey: Uint8Array; readonly maxChars?: number | undefined },
): string {
  const { maxChars = Number.POSITIVE_INFINITY } = options;
  const addresses = encodeAddresses(record.endpoints);
  const dir = directionBit(options);
  const { sequence: seq, nat } = record;
  const candidates = [{ ...addresses, seq, dir, nat }, { ...addresses, seq, dir }, { ...addresses, dir }, addresses];
  const texts = candidates.map((candidate) => JSON.stringify(candidate));
  const plain = texts.find((text) => sealedChars(text.length) <= maxChars) ?? JSON.stringify(addresses);
  return sealBox(Buffer.from(plain), { privateKey: options.privateKey, peerPublicKey: options.receiverKey });
}

/**
 * Opens and checks what the sender published. Throws RECORD_UNREADABLE (not ours to open), RECORD_INVALID (says which
 * member and why) or RECORD_REFLECTED (it is our own record, put into the peer's place).
 */
export function openRecord(sealed: string, options: Direction & { readonly privateKey: Uint8Array }): PeerRecord {
  return createRecordOpener(options)(sealed);
}

/** The same for many values of one place. */
export function createRecordOpener(
  options: Direction & { readonly privateKey: Uint8Array },
): (sealed: string) => PeerRecord {
  return openerWith(options.senderKey, options);
}

/** The same for what this side published itself, which opens with the receiver's key as well. */
export function openOwnRecord(sealed: string, options: Direction & { readonly privateKey: Uint8Array }): PeerRecord {
  return openerWith(options.receiverKey, options)(sealed);
}

function openerWith(peerPublicKey: Uint8Array, options: Direction & { readonly privateKey: Uint8Array }) {
  const open = createOpener({ privateKey: options.privateKey, peerPublicKey });
  return (sealed: string) => readRecord(open(sealed), options);
}

function readRecord(plain: Uint8Array, options: Direction): PeerRecord {
  const members = parseMembers(Buffer.from(plain).toString("utf8"));
  const { seq, dir } = members;
  // Only for people: a value that a later version may know is no reason to refuse the addresses.
  const nat = natClasses.find((known) => known === members.nat);
  if (dir !== undefined && dir !== directionBit(options)) {
    throw new StunmeshError("RECORD_REFLECTED", "Cannot use a record: this interface published it itself");
  }
  const ipv4 = decodeAddress(members, "ipv4");
  const ipv6 = decodeAddress(members, "ipv6");
  if (seq !== undefined && !isSequence(seq))
    throw invalid("seq", "it is not a whole number that a clock can have made");
  return {
    endpoints: { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) },
    ...(seq !== undefined && { sequence: seq }),
    ...(nat && { nat }),
    ...((seq !== undefined || dir !== undefined) && { isExtended: true }),
  };
}

/** What this side remembers about a peer's records and its own, to judge the next one. */
export interface RecordMemory {
  /** From where on the peer's numbers are accepted. */
  readonly marks: SequenceMarks;
  /** Wall clock. */
  readonly nowMs: number;
  /** Own addresses as they were published last. */
  readonly own?: EndpointRecord | undefined;
  /** IP literals of the tunnel itself, canonical: packets sent there never leave this host. */
  readonly tunnel?: readonly string[] | undefined;
}

/**
 * Throws RECORD_ROLLED_BACK when the record is older than one accepted before, and RECORD_REFLECTED when a record that
 * does not name its direction carries one of our own transport addresses, RECORD_INVALID when it aims WireGuard at its own
 * tunnel. Nothing can be said about other records
 * without `seq` and `dir`: they are taken as STUNMESH-go takes them.
 */
export function checkFresh({ endpoints, sequence }: PeerRecord, memory: RecordMemory): void {
  const mark = sequence === undefined ? undefined : markAbove(sequence, memory);
  if (mark !== undefined) {
    throw new StunmeshError(
      "RECORD_ROLLED_BACK",
      `Cannot use a record: its sequence number ${sequence} is older than ${mark}, from where on they are accepted; somebody ` +
        "put an old record back, or the peer has lost its state directory and its clock is behind",
    );
  }
  for (const family of ["ipv4", "ipv6"] as const) {
    const address = endpoints[family];
    if (address && memory.tunnel?.includes(address.host)) {
      const reason = "it is an address of the tunnel itself on this host";
      throw invalid(family, `"${formatTransportAddress(address)}" cannot be reached: ${reason}`);
    }
    if (address && sameTransportAddress(address, memory.own?.[family])) {
      throw new StunmeshError(
        "RECORD_REFLECTED",
        `Cannot use a record: ${formatTransportAddress(address)} is this interface's own address`,
      );
    }
  }
}

/** Same addresses in both; sequence numbers do not matter. */
export function sameEndpoints(a: EndpointRecord | undefined, b: EndpointRecord | undefined): boolean {
  return sameTransportAddress(a?.ipv4, b?.ipv4) && sameTransportAddress(a?.ipv6, b?.ipv6);
}

function encodeAddresses(endpoints: EndpointRecord): { readonly [family in Family]?: string } {
  return {
    ...(endpoints.ipv4 && { ipv4: formatTransportAddress(endpoints.ipv4) }),
    ...(endpoints.ipv6 && { ipv6: formatTransportAddress(endpoints.ipv6) }),
  };
}

/** 0 when the sender's key is the lower one as a string of bytes, else 1. */
function directionBit({ senderKey, receiverKey }: Direction): 0 | 1 {
  return Buffer.compare(senderKey, receiverKey) < 0 ? 0 : 1;
}

/** Members by lower-case name, as Go's decoder matches them. */
function parseMembers(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new StunmeshError("RECORD_INVALID", "Cannot use a record: its plain text is not JSON", { cause });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new StunmeshError("RECORD_INVALID", "Cannot use a record: its plain text is not a JSON object");
  }
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name.toLowerCase(), member]));
}

function decodeAddress(members: Readonly<Record<string, unknown>>, family: Family) {
  const text = members[family];
  if (text === undefined || text === null || text === "") return undefined;
  if (typeof text !== "string") throw invalid(family, "it is not a string");
  const address = parseTransportAddress(text);
  if (!address) throw invalid(family, `"${printable(text)}" is not an IP address and a port from 1 to 65535`);
  if (address.family !== family) throw invalid(family, `"${printable(text)}" is of the other family`);
  const reason = whyNotAnEndpoint(address);
  if (reason !== undefined) throw invalid(family, `"${printable(text)}" cannot be reached: ${reason}`);
  return address;
}

function invalid(member: string, why: string): StunmeshError {
  return new StunmeshError("RECORD_INVALID", `Cannot use a record: member "${member}": ${why}`);
}

/** What a peer wrote, safe to print: short and without control characters. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, "?").slice(0, 60);
}
