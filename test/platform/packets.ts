/** Packets for tests, made by hand: what a raw socket of Linux gets. */
import { readFileSync } from "node:fs";
import { fixturePath } from "../fixtures/path.ts";

/** test/fixtures/platform/packets.json: Binding responses to port 51820 and an echo request, recorded elsewhere. */
export interface PacketFixtures {
  readonly port: number;
  readonly linux_ipv4: RawPackets;
  readonly linux_ipv6: RawPackets;
  readonly icmp: {
    readonly id: number;
    readonly seq: number;
    readonly data: string;
    readonly echo_request_hex: string;
  };
}

interface RawPackets {
  readonly accept_hex: string;
  readonly reject_wrong_port_hex: string;
  readonly reject_wrong_cookie_hex: string;
}

export function readPacketFixtures(): PacketFixtures {
  return JSON.parse(readFileSync(fixturePath("platform/packets.json"), "utf8")) as PacketFixtures;
}

export function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

interface Ipv4Options {
  readonly protocol: number;
  readonly source?: readonly number[];
  readonly optionBytes?: number;
  readonly fragment?: number;
}

/** An IPv4 packet around `body`, with `optionBytes` no-operation options and `fragment` as flags and offset. */
export function ipv4Packet(body: Uint8Array, options: Ipv4Options): Uint8Array {
  const { protocol, source = [203, 0, 113, 9], optionBytes = 0, fragment = 0 } = options;
  const headerBytes = 20 + optionBytes;
  const packet = new Uint8Array(headerBytes + body.length).fill(1, 20, headerBytes);
  const view = new DataView(packet.buffer);
  view.setUint8(0, 0x40 | (headerBytes / 4));
  view.setUint16(2, packet.length);
  view.setUint16(6, fragment);
  view.setUint8(8, 64);
  view.setUint8(9, protocol);
  packet.set(source, 12);
  packet.set([192, 0, 2, 1], 16);
  packet.set(body, headerBytes);
  return packet;
}

/** A generator of the same "random" numbers below `limit` at every run (mulberry32). */
export function createRandom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}
