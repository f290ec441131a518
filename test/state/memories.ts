/** Memories to write and to read. */
import { parseTransportAddress, type TransportAddress } from "../../src/address.ts";
import type { InterfaceMemory, PeerMemory } from "../../src/state/memory-text.ts";

/** 32 bytes that differ for each `index`. */
export function keyBytes(index: number): Uint8Array {
  const bytes = new Uint8Array(32).fill(7);
  new DataView(bytes.buffer).setUint32(0, index);
  return bytes;
}

/** The same in base64. */
export function keyText(index: number): string {
  return Buffer.from(keyBytes(index)).toString("base64");
}

export function at(text: string): TransportAddress {
  const address = parseTransportAddress(text);
  if (!address) throw new RangeError(`Cannot parse an address: "${text}"`);
  return address;
}

/** Everything there is to remember. */
export const fullPeer = {
  sequence: 1_790_000_000,
  recordSequence: 1_790_000_123,
  record: { ipv4: at("192.0.2.7:51820"), ipv6: at("[2001:db8::7]:51820") },
  worked: at("[2001:db8::7]:51820"),
} satisfies PeerMemory;

export const deviceKey = keyBytes(0);

export const memories: InterfaceMemory = {
  publicKey: deviceKey,
  peers: new Map<string, PeerMemory>([
    [keyText(1), fullPeer],
    [keyText(2), { sequence: 0 }],
    [keyText(3), { record: { ipv4: at("192.0.2.8:1") } }],
    [keyText(4), { worked: at("127.0.0.1:65535") }],
  ]),
};

export function peersOf(entries: Readonly<Record<number, PeerMemory>>): InterfaceMemory["peers"] {
  return new Map(Object.entries(entries).map(([index, peer]) => [keyText(Number(index)), peer]));
}
