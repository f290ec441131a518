/**
 * Which peer of a device gets a packet: the one with the longest allowed prefix that contains the destination (cryptokey
 * routing, https://www.wireguard.com/papers/wireguard.pdf, section 2).
 */
import { parseIp } from "./address.ts";

/** An allowed IP of a peer. */
export interface Network {
  /** 4 or 16 bytes, those behind the prefix zero. */
  readonly bytes: Uint8Array;
  readonly prefix: number;
}

/** Parses "10.99.0.0/24"; undefined for anything else. */
export function parseNetwork(text: string): Network | undefined {
  const [host = "", prefix = "", ...more] = text.split("/");
  const bytes = parseIp(host);
  if (!bytes || more.length > 0 || !/^\d{1,3}$/.test(prefix) || Number(prefix) > bytes.length * 8) return undefined;
  return { bytes: masked(bytes, Number(prefix)), prefix: Number(prefix) };
}

interface Peer {
  readonly allowedIps: readonly string[];
}

/** By device: with a thousand peers, each of them asks after a look. */
const finders = new WeakMap<object, (ip: Uint8Array) => unknown>();

/** Finds the peer of `device` that gets packets for `ip`; undefined when none does. */
export function ownerOf<T extends Peer>(device: { readonly peers: readonly T[] }, ip: Uint8Array): T | undefined {
  // What was kept for this device was made of its peers.
  const find = (finders.get(device) as ((ip: Uint8Array) => T | undefined) | undefined) ?? createFinder(device.peers);
  finders.set(device, find);
  return find(ip);
}

function createFinder<T extends Peer>(peers: readonly T[]): (ip: Uint8Array) => T | undefined {
  const owners = new Map<string, T>();
  const prefixes = new Set<number>();
  for (const peer of peers) {
    for (const text of peer.allowedIps) {
      const network = parseNetwork(text);
      if (!network) continue;
      owners.set(keyOf(network), peer);
      prefixes.add(network.prefix);
    }
  }
  const longestFirst = [...prefixes].sort((a, b) => b - a);
  return (ip) => {
    for (const prefix of longestFirst) {
      const owner = prefix > ip.length * 8 ? undefined : owners.get(keyOf({ bytes: masked(ip, prefix), prefix }));
      if (owner) return owner;
    }
    return undefined;
  };
}

function keyOf({ bytes, prefix }: Network): string {
  return `${bytes.join(".")}/${prefix}`;
}

function masked(bytes: Uint8Array, prefix: number): Uint8Array {
  return bytes.map((byte, index) => byte & (0xff << (8 - Math.min(8, Math.max(0, prefix - index * 8)))));
}
