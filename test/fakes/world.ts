/**
 * A small world: hosts with a WireGuard device each, behind NATs with endpoint-independent mapping and address and
 * port-dependent filtering (RFC 4787). Its WireGuard behaves like the real one where it matters here: nothing is sent
 * because an endpoint changed; an initiation goes out at most every 5 s and is repeated for 90 s; a session is renewed by
 * the side that made it, when that sends something; whoever is heard from is where its packets come from.
 */
import { type Family, formatTransportAddress, sameTransportAddress, type TransportAddress } from "../../src/address.ts";
import type { Clock } from "../../src/clock.ts";
import { StunmeshError } from "../../src/errors.ts";
import type { Provoker } from "../../src/provoke.ts";
import type { WireGuardControl, WireGuardDevice, WireGuardPeer } from "../../src/wg/types.ts";
import { createKeyPair, keyBytes } from "./wg-device.ts";

const REKEY_TIMEOUT_MS = 5_000;
const REKEY_ATTEMPTS = 18;
/** From this age on the side that made a session renews it when it sends something. */
const REKEY_AFTER_MS = 120_000;
const RTT_MS = 20;
/** How long an answer is waited for by default. */
const ANSWER_TIMEOUT_MS = 2_000;

interface PeerEntry {
  readonly host: Host;
  readonly allowedIp: string;
  /** Where nobody answers. */
  readonly otherAllowedIps: string[];
  endpoint?: TransportAddress;
  /** Wall clock, as WireGuard tells it; its own timers go by the other. */
  latestHandshakeMs?: number;
  sessionAtMs: number;
  receivedBytes: number;
  initiatedAtMs: number;
  trying: boolean;
  /** This side made the session, and is the one that renews it. */
  isInitiator: boolean;
}

export interface Host {
  readonly name: string;
  readonly privateKey: Buffer;
  readonly publicKey: Buffer;
  /** The mapped address of each family; undefined = no connectivity of that family. */
  address: { [family in Family]?: TransportAddress };
  listenPort: number;
  /** The WireGuard interface exists. */
  up: boolean;
  /** STUN servers answer. */
  stun: boolean;
  /** Persistent keepalive of its peers, seconds; nothing is sent by it here. */
  keepaliveS: number;
  readonly peers: Map<Host, PeerEntry>;
  /** Destinations this host's NAT lets in: those something was sent to. */
  readonly opened: Set<string>;
  /** Endpoint writes through WireGuardControl. */
  writes: { readonly peer: string; readonly endpoint: string }[];
  readonly wireguard: WireGuardControl;
  readonly provoker: Provoker;
}

export interface World {
  addHost(name: string): Host;
  /** Makes two hosts peers of each other, without endpoints. */
  connect(a: Host, b: Host): void;
  /** The NAT of `host` forgets everything and maps to another port from now on. */
  rebind(host: Host): void;
  /** Sends a packet through the tunnel from `a` to `b`; true when it arrived, and its answer too. */
  send(a: Host, b: Host): boolean;
  /** There is a session, and a packet in either direction would arrive. Sends nothing. */
  works(a: Host, b: Host): boolean;
}

export function createWorld(clock: Clock): World {
  const hosts: Host[] = [];
  let nextPort = 40_000;

  function mapped(index: number): Host["address"] {
    return {
      ipv4: { family: "ipv4", host: `203.0.113.${index + 1}`, port: nextPort++ },
      ipv6: { family: "ipv6", host: `2001:db8::${index + 1}`, port: nextPort++ },
    };
  }

  function hostAt(endpoint: TransportAddress | undefined): Host | undefined {
    if (!endpoint) return undefined;
    return hosts.find((host) => host.up && sameTransportAddress(host.address[endpoint.family], endpoint));
  }

  /** One packet from `from` to its peer `to`: true when it arrives. */
  function transmit(from: Host, to: PeerEntry): boolean {
    const source = to.endpoint && from.address[to.endpoint.family];
    if (!from.up || !to.endpoint || !source) return false;
    from.opened.add(formatTransportAddress(to.endpoint));
    const target = hostAt(to.endpoint);
    if (target !== to.host || !target.opened.has(formatTransportAddress(source))) return false;
    const entry = target.peers.get(from);
    if (!entry) return false;
    entry.endpoint = source;
    entry.receivedBytes += 148;
    return true;
  }

  function leads(from: Host, to: Host): boolean {
    const entry = from.peers.get(to);
    const source = entry?.endpoint && from.address[entry.endpoint.family];
    if (!entry || !source || !inSession(entry) || hostAt(entry.endpoint) !== to) return false;
    return to.opened.has(formatTransportAddress(source));
  }

  function inSession(entry: PeerEntry): boolean {
    return entry.latestHandshakeMs !== undefined && clock.monotonic() - entry.sessionAtMs < 180_000;
  }

  function handshake(from: Host, to: PeerEntry): boolean {
    if (clock.monotonic() - to.initiatedAtMs < REKEY_TIMEOUT_MS) return false;
    to.initiatedAtMs = clock.monotonic();
    const back = to.host.peers.get(from);
    if (!transmit(from, to) || !back || !transmit(to.host, back)) return false;
    for (const end of [to, back])
      Object.assign(end, { latestHandshakeMs: clock.now(), sessionAtMs: clock.monotonic() });
    to.isInitiator = true;
    back.isInitiator = false;
    return true;
  }

  async function keepTrying(from: Host, to: PeerEntry): Promise<void> {
    if (to.trying) return;
    to.trying = true;
    const before = to.latestHandshakeMs;
    for (let attempt = 0; attempt < REKEY_ATTEMPTS && to.latestHandshakeMs === before && from.up; attempt++) {
      handshake(from, to);
      await clock.sleep(REKEY_TIMEOUT_MS);
    }
    to.trying = false;
  }

  /** What sending a packet through the tunnel does: a handshake if one is due, then the packet and its answer. */
  function exchange(from: Host, to: PeerEntry): boolean {
    const ageMs = clock.monotonic() - to.sessionAtMs;
    if (!inSession(to) || (to.isInitiator && ageMs > REKEY_AFTER_MS)) void keepTrying(from, to);
    if (!inSession(to)) return false;
    const back = to.host.peers.get(from);
    return back !== undefined && transmit(from, to) && transmit(to.host, back);
  }

  function readDevice(host: Host): WireGuardDevice {
    if (!host.up) throw new StunmeshError("WG_DEVICE_NOT_FOUND", 'Cannot read "wg0": there is no such interface');
    return {
      name: "wg0",
      listenPort: host.listenPort,
      firewallMark: 0,
      privateKey: host.privateKey,
      publicKey: host.publicKey,
      peers: [...host.peers.values()].map(
        (entry): WireGuardPeer => ({
          publicKey: entry.host.publicKey,
          receivedBytes: entry.receivedBytes,
          sentBytes: 0,
          allowedIps: [entry.allowedIp, ...entry.otherAllowedIps],
          persistentKeepalive: host.keepaliveS,
          ...(entry.endpoint && { endpoint: entry.endpoint }),
          ...(entry.latestHandshakeMs !== undefined && { latestHandshakeMs: entry.latestHandshakeMs }),
        }),
      ),
    };
  }

  function addHost(name: string): Host {
    const { privateKey, publicKey } = newKeys();
    const host: Host = {
      name,
      privateKey,
      publicKey,
      address: mapped(hosts.length),
      listenPort: 51820,
      up: true,
      stun: true,
      keepaliveS: 25,
      peers: new Map(),
      opened: new Set(),
      writes: [],
      wireguard: {
        readDevice: async () => readDevice(host),
        async setPeerEndpoints(_device, updates) {
          for (const { publicKey: key, endpoint } of updates) {
            const entry = [...host.peers.values()].find(({ host: { publicKey } }) => publicKey.equals(key));
            if (!entry) throw new StunmeshError("WG_PEER_NOT_FOUND", "Cannot move an endpoint: no such peer");
            entry.endpoint = endpoint;
            host.writes.push({ peer: entry.host.name, endpoint: formatTransportAddress(endpoint) });
          }
          return updates;
        },
      },
      provoker: {
        async provoke({ target, timeoutMs = ANSWER_TIMEOUT_MS }, signal) {
          const entry = [...host.peers.values()].find(({ allowedIp }) => allowedIp === `${target}/32`);
          await clock.sleep(RTT_MS, signal);
          const mute = [...host.peers.values()].find(({ otherAllowedIps }) => otherAllowedIps.includes(`${target}/32`));
          if (mute) exchange(host, mute);
          if (entry && exchange(host, entry)) return RTT_MS;
          await clock.sleep(Math.max(0, timeoutMs - RTT_MS), signal);
          return undefined;
        },
      },
    };
    hosts.push(host);
    return host;
  }

  function entryFor(host: Host): PeerEntry {
    const allowedIp = `10.99.0.${hosts.indexOf(host) + 1}/32`;
    return {
      host,
      allowedIp,
      otherAllowedIps: [],
      sessionAtMs: Number.NEGATIVE_INFINITY,
      receivedBytes: 0,
      initiatedAtMs: Number.NEGATIVE_INFINITY,
      trying: false,
      isInitiator: false,
    };
  }

  return {
    addHost,
    connect(a, b) {
      a.peers.set(b, entryFor(b));
      b.peers.set(a, entryFor(a));
    },
    rebind(host) {
      host.opened.clear();
      host.address = mapped(hosts.indexOf(host));
    },
    send(a, b) {
      const entry = a.peers.get(b);
      return entry !== undefined && exchange(a, entry);
    },
    works: (a, b) => leads(a, b) && leads(b, a),
  };
}

function newKeys(): { readonly privateKey: Buffer; readonly publicKey: Buffer } {
  const { privateKey, publicKey } = createKeyPair();
  return { privateKey: Buffer.from(keyBytes(privateKey)), publicKey: Buffer.from(keyBytes(publicKey)) };
}
