/**
 * What is remembered of an interface, as text: one line of JSON, version 1.
 *
 *   { "version": 1, "publicKey": KEY, "peers": { KEY: {
 *       "sequence": 1, "recordSequence": 1, "aheadSequence": 1, "record": { "ipv4": "192.0.2.1:1", "ipv6": "[2001:db8::1]:1" },
 *       "worked": "192.0.2.1:1" } }, "sha256": HEX }
 *
 * Keys are public keys in base64, every member of a peer may be missing, and `sha256` is of the text of the other
 * members. It is there for cheap flash memory: a single wrong digit in `recordSequence` would have every
 * record of that peer refused for years. Invariant: nothing but these members is ever written, so no secret is.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import {
  type EndpointRecord,
  type Family,
  formatTransportAddress,
  parseTransportAddress,
  type TransportAddress,
} from "../address.ts";

/** What is remembered of a peer. */
export interface PeerMemory {
  /** Own sequence number, the last one used for this peer. */
  readonly sequence?: number | undefined;
  /** From where on the peer's sequence numbers are accepted (sequence.ts). */
  readonly recordSequence?: number | undefined;
  readonly aheadSequence?: number | undefined;
  /** Newest record accepted from the peer. */
  readonly record?: EndpointRecord | undefined;
  /** Endpoint at which the tunnel worked last. */
  readonly worked?: TransportAddress | undefined;
}

/** What is remembered of an interface. */
export interface InterfaceMemory {
  /** Public key of the device (32 bytes): what was learned with another key says nothing. */
  readonly publicKey: Uint8Array;
  /** By public key in base64, as wg(8) writes it; at most MAX_PEERS. */
  readonly peers: ReadonlyMap<string, PeerMemory>;
}

export const MAX_PEERS = 10_000;
/** 10,000 peers with the longest members there are take 2.7 MiB. */
export const MAX_MEMORY_BYTES = 4 * 1024 * 1024;

const families: readonly Family[] = ["ipv4", "ipv6"];

const keyText = z.string().regex(/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/);
const sequence = z.int().min(0).optional();

const peerSchema = z.strictObject({
  sequence,
  recordSequence: sequence,
  aheadSequence: sequence,
  record: z.strictObject({ ipv4: addressText(["ipv4"]).optional(), ipv6: addressText(["ipv6"]).optional() }).optional(),
  worked: addressText(families).optional(),
});

const memorySchema = z.strictObject({
  version: z.literal(1),
  publicKey: keyText,
  peers: z.record(keyText, peerSchema).refine((peers) => Object.keys(peers).length <= MAX_PEERS),
  sha256: z.string(),
});

/** The text of `memory`. Members of a peer that are unknown to this format are left out, and peers of which nothing is known. */
export function encodeMemory({ publicKey, peers }: InterfaceMemory): string {
  const content = {
    version: 1,
    publicKey: Buffer.from(publicKey).toString("base64"),
    peers: Object.fromEntries(
      [...peers].map(([key, peer]) => [key, encodePeer(peer)] as const).filter(([, peer]) => hasMembers(peer)),
    ),
  };
  return `${JSON.stringify({ ...content, sha256: checksum(content) })}\n`;
}

/**
 * `now`, and of the peers that are in `before` alone their sequence numbers: a peer that was taken out of the configuration
 * and comes back is still protected against its old records.
 */
export function keepNumbers(now: InterfaceMemory, before: InterfaceMemory | undefined): InterfaceMemory {
  if (!before || Buffer.compare(before.publicKey, now.publicKey) !== 0) return now;
  const gone = [...before.peers].flatMap(([key, peer]) =>
    now.peers.has(key) ? [] : [[key, numbersOf(peer)] as const],
  );
  const room = Math.max(0, MAX_PEERS - now.peers.size);
  return gone.length === 0 ? now : { ...now, peers: new Map([...now.peers, ...gone.slice(0, room)]) };
}

/** The inverse of encodeMemory. Throws an Error that says what is wrong: "it is not JSON". */
export function decodeMemory(text: string): InterfaceMemory {
  const value = parseJson(text);
  const { version } = (value ?? {}) as { readonly version?: unknown };
  if (typeof version === "number" && version !== 1) throw new Error(`its version is ${version}, not 1`);
  const parsed = memorySchema.safeParse(value);
  if (!parsed.success) throw new Error(`${explainPath(parsed.error.issues[0]?.path)} is not what it should be`);
  const { sha256, ...content } = value as z.input<typeof memorySchema>;
  if (sha256 !== checksum(content)) throw new Error("its checksum is wrong");
  return {
    publicKey: Uint8Array.from(Buffer.from(parsed.data.publicKey, "base64")),
    peers: new Map(Object.entries(parsed.data.peers).map(([key, peer]) => [key, decodePeer(peer)])),
  };
}

function encodePeer({ record, worked, ...numbers }: PeerMemory): Readonly<Record<string, unknown>> {
  const { ipv4, ipv6 } = record ?? {};
  return {
    ...numbersOf(numbers),
    record: record && {
      ipv4: ipv4 && formatTransportAddress(ipv4),
      ipv6: ipv6 && formatTransportAddress(ipv6),
    },
    worked: worked && formatTransportAddress(worked),
  };
}

/** Drops members that are undefined; JSON would drop them too, but what is a missing member must not be one with no value. */
function decodePeer({ record, ...members }: z.output<typeof peerSchema>): PeerMemory {
  const { ipv4, ipv6 } = record ?? {};
  return { ...members, ...(record && { record: { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) } }) };
}

function numbersOf({ sequence, recordSequence, aheadSequence }: PeerMemory): PeerMemory {
  return { sequence, recordSequence, aheadSequence };
}

function hasMembers(peer: Readonly<Record<string, unknown>>): boolean {
  return Object.values(peer).some((member) => member !== undefined);
}

/** JSON.stringify() of what was parsed from its own output gives that output again: members keep their order. */
function checksum(content: object): string {
  return createHash("sha256").update(JSON.stringify(content)).digest("hex");
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error("it is not JSON", { cause });
  }
}

/** Text of an endpoint of one of `allowed`. Whether it may be one was judged before it was remembered. */
function addressText(allowed: readonly Family[]) {
  return z
    .string()
    .max(64)
    .transform((text, context) => {
      const address = parseTransportAddress(text);
      if (address && allowed.includes(address.family)) return address;
      context.issues.push({ code: "custom", message: "no endpoint", input: text });
      return z.NEVER;
    });
}

/** `member "peers.KEY.record"`, safe to print: it may be anything. */
function explainPath(path: readonly PropertyKey[] = []): string {
  if (path.length === 0) return "it";
  const text = path.map(String).join(".");
  return `member "${text.replace(/[^\x20-\x7e]/g, "?").slice(0, 120)}"`;
}
