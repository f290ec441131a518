/**
 * Which address to ping so that the packet enters the tunnel and goes to the peer: never one of this host, which the system
 * answers itself, nor one that another peer gets; best in a family in which the tunnel has an address. Pure.
 */
import { type Family, formatIp, parseIp } from "./address.ts";
import { type Network, parseNetwork } from "./allowed-ips.ts";

/** Addresses of this host, canonical text; empty where they are not known. */
export interface HostAddresses {
  /** Of the WireGuard interface. */
  readonly tunnel: readonly string[];
  /** Of all interfaces. */
  readonly all: readonly string[];
}

export interface ProvokeTarget {
  readonly family: Family;
  readonly target: string;
}

/** Addresses of documentation (RFC 5737, RFC 3849): for a peer that takes everything and names no address of its own. */
const ANYWHERE: Readonly<Record<Family, Network>> = {
  ipv4: { bytes: Uint8Array.of(192, 0, 2, 0), prefix: 24 },
  ipv6: { bytes: Uint8Array.of(0x20, 1, 0x0d, 0xb8, ...new Array<number>(12).fill(0)), prefix: 32 },
};
/** What cannot be sent to one may be sent to another: a family, or a route, may be missing. */
const TARGETS_PER_FAMILY = 2;
/** Hosts of a network that are looked at until one is right. */
const HOSTS_MAX = 254;

/**
 * Chooses what to ping, best first: the ping target if that is an address the peer gets, else allowed host addresses, else
 * the first hosts of allowed networks; empty when nothing is allowed. Families without an address on the tunnel come last.
 */
export function selectProvokeTargets(options: {
  readonly pingTarget: string | undefined;
  readonly allowedIps: readonly string[];
  /** Packets for this address go to the peer, as far as the allowed IPs of all peers say. */
  isPeers(ip: Uint8Array): boolean;
  readonly addresses: HostAddresses;
}): readonly ProvokeTarget[] {
  const { pingTarget, allowedIps, isPeers, addresses } = options;
  const own = new Set(addresses.all);
  const tunnelFamilies = new Set(addresses.tunnel.flatMap((text) => familyOf(parseIp(text)) ?? []));
  const isRight = (ip: Uint8Array) => !own.has(formatIp(ip)) && isPeers(ip);

  const pinged = pingTarget === undefined ? undefined : parseIp(pingTarget);
  const networks = allowedIps.flatMap((text) => parseNetwork(text) ?? []).sort((a, b) => rankOf(a) - rankOf(b));
  const found: Record<Family, ProvokeTarget[]> = { ipv4: [], ipv6: [] };
  const order: Family[] = [];
  const add = (ip: Uint8Array | undefined) => {
    const family = familyOf(ip);
    if (!ip || !family || found[family].length >= TARGETS_PER_FAMILY) return;
    found[family].push({ family, target: formatIp(ip) });
    order.push(family);
  };
  if (pinged && isRight(pinged)) add(pinged);
  for (const network of networks) {
    const family = familyOf(network.bytes);
    if (!family || found[family].length >= TARGETS_PER_FAMILY) continue;
    add(hostsOf(network.prefix === 0 ? ANYWHERE[family] : network).find(isRight));
  }
  const families = [...new Set(order)].sort((a, b) => Number(tunnelFamilies.has(b)) - Number(tunnelFamilies.has(a)));
  return families.flatMap((family) => found[family]);
}

/** Host addresses before networks, and those before everything. */
function rankOf({ bytes, prefix }: Network): number {
  if (prefix === bytes.length * 8) return 0;
  return prefix > 0 ? 1 : 2;
}

/** The first addresses of hosts in a network: all but its own address and, with IPv4, the broadcast address. */
function hostsOf({ bytes, prefix }: Network): readonly Uint8Array[] {
  const bits = bytes.length * 8 - prefix;
  // Of a network of two both are hosts (RFC 3021, RFC 6164).
  if (bits <= 1) return Array.from({ length: 2 ** bits }, (_, offset) => plus(bytes, offset));
  return Array.from({ length: Math.min(HOSTS_MAX, 2 ** bits - 2) }, (_, index) => plus(bytes, index + 1));
}

/** Nothing carries: the bits behind the prefix are zero, and no more of them are counted up than there are. */
function plus(bytes: Uint8Array, offset: number): Uint8Array {
  const sum = bytes.slice();
  sum[sum.length - 1] = (sum.at(-1) ?? 0) + offset;
  return sum;
}

function familyOf(ip: Uint8Array | undefined): Family | undefined {
  return ip && (ip.length === 4 ? "ipv4" : "ipv6");
}
