/**
 * What the doctor says, and the table of what it looks at: docs/doctor.md has a row for each check, and a test compares.
 */

/** `fail` = this keeps a peer from being reached; `warn` = it may, or will one day; `info` = worth knowing. */
export type Level = "ok" | "info" | "warn" | "fail";

/** Every check and what it looks at. */
export const checks = {
  configuration: "the configuration is readable and valid",
  program: "Node.js and the module koffi",
  privileges: "the rights that probing and WireGuard need",
  clock: "the clock of this host: synchronized, plausible, the same as that of a store's server",
  device: "the WireGuard interface is there, with a private key and a listen port",
  daemon: "whether a daemon serves the interface",
  peers: "the peers of the configuration are on the device, and the other way round",
  keys: "no two peers, and not this host itself, have the same key",
  keepalive: "PersistentKeepalive of each peer",
  "allowed-ips": "each peer has allowed IPs",
  "ping-target": "the ping target goes to its peer, and answers",
  mtu: "the tunnel's packets fit into those of the uplink",
  route: "STUN, stores and endpoints are not routed into the tunnel itself",
  "reverse-path": "the reverse path filter lets answers to marked packets in",
  "stun-server": "each STUN server by itself: its name, its answer, how long it takes",
  discovery: "which server a daemon gets its address from, in its order and with its deadline",
  udp: "which UDP gets out: from WireGuard's port, from another port, none at all",
  "mapped-address": "what the STUN servers see, and whether it is a public address",
  mapping: "whether the NAT keeps one public address for all destinations",
  filtering: "whom the NAT and firewalls let in, where a STUN server can tell (RFC 5780)",
  hairpin: "whether hosts behind the same NAT can use their public addresses",
  store: "each store takes a value and gives it back, and how long that takes",
  record: "each peer's record: there, readable, of a usable family, not older than one before",
  "record-clock": "the peer's clock, by the sequence number in its record",
  "own-record": "what the store has of this host: up to date, and written by nobody else",
  endpoint: "where WireGuard sends, against where the peer says it is",
  handshake: "the last handshake of each peer",
  verdict: "for each peer: does it work, and if not, why",
} as const;

export type CheckId = keyof typeof checks;

export interface Finding {
  readonly level: Level;
  readonly check: CheckId;
  /** What it is about: `wg0`, `wg0/office`, a STUN server, a store, or `host`. */
  readonly subject: string;
  /** One sentence. */
  readonly text: string;
  /** What to do. */
  readonly hint?: string;
}

/** A check: judges facts that were gathered before. Pure. */
export type Check<Facts> = (facts: Facts) => readonly Finding[];

/** All findings of several checks about the same facts, in the order of the checks. */
export function runChecks<Facts>(list: readonly Check<Facts>[], facts: Facts): readonly Finding[] {
  return list.flatMap((check) => check(facts));
}
