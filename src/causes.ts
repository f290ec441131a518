/** Causes of trouble that the daemon's status and the doctor both find, said in the same words. Pure. */
import { formatDuration } from "./duration.ts";

export interface Cause {
  /** What is so: one sentence, without a final period. */
  readonly text: string;
  /** What to do. */
  readonly hint: string;
}

/** Clocks of hosts that are set by NTP differ by much less; a record is some seconds old when it is read. */
const CLOCKS_DIFFER_MS = 300_000;

export function inOneSentence({ text, hint }: Cause): string {
  return `${text}; ${hint}`;
}

/** Why this host does not learn its own address. */
export interface StunTrouble {
  /**
   * `silent`: servers were asked, and none answers. `unusable`: at least one answered, with nothing of use. `unresolved`: none
   * was asked for lack of an address of one. `not sent`: none was asked for another reason.
   */
  readonly kind: "silent" | "unusable" | "unresolved" | "not sent";
  /** Which server, and why. */
  readonly message: string;
}

/** Undefined when all that is known is that nobody answers. */
export function stunFails({ kind, message }: StunTrouble): Cause | undefined {
  switch (kind) {
    case "silent":
      return undefined;
    case "unusable":
      return {
        text: `UDP works, but no STUN server is of use: ${message}`,
        hint: /NAT64/.test(message)
          ? "name a STUN server that has an IPv6 address of its own in stun.addresses; for IPv4 this network needs 464XLAT (CLAT) on this host"
          : "name other servers in stun.addresses",
      };
    case "unresolved":
      return {
        text: "no name of a STUN server can be resolved",
        hint: "repair DNS, or write IP addresses into stun.addresses",
      };
    case "not sent":
      return {
        text: `no STUN server could be asked: ${message}`,
        hint: "look at this host's addresses and routes (also those for WireGuard's firewall mark), and at stun.addresses",
      };
  }
}

/** `heardFrom`: the name of a peer that WireGuard hears while no STUN server answers. */
export function stunBlocked(heardFrom: string): Cause {
  return {
    text: `STUN is blocked, or the servers are dead: none answers, though other UDP works (${heardFrom} was just heard from)`,
    hint: "try other servers in stun.addresses, on other ports than 3478",
  };
}

/** A STUN server that others contradict, with what it says. */
export interface ContradictedServer {
  readonly server: string;
  readonly mapped: string;
  /** `not public`: others see a public address. `alone`: all others see one and the same. */
  readonly why: "not public" | "alone";
}

export function serverContradicted({ server, mapped, why }: ContradictedServer): Cause {
  if (why === "not public") {
    return {
      text: `the STUN server ${server} says that this host is ${mapped}, which is no public address, and others contradict it: it is inside this or the provider's network, or behind a NAT of its own`,
      hint: `remove ${server} from stun.addresses; its operator has to run it on a public address`,
    };
  }
  return {
    text: `the STUN server ${server} alone says that this host is ${mapped}: it is wrong, or it is reached by another uplink than all others`,
    hint: `remove ${server} from stun.addresses, unless this host has two uplinks`,
  };
}

/** `seen`: each server and the address it sees. */
export function serversDisagree(seen: readonly Omit<ContradictedServer, "why">[]): Cause {
  const list = seen.map(({ server, mapped }) => `${server} says ${mapped}`).join(", ");
  return {
    text: `the STUN servers contradict each other about this host's address: ${list}; one of them is wrong, or they are reached by two uplinks`,
    hint: "name a third server in stun.addresses, to find out which",
  };
}

export function storeFails({ store, message }: { readonly store: string; readonly message: string }): Cause {
  return {
    text: `addresses cannot be exchanged, the store ${store} does not work: ${message}`,
    hint: `"stunmesh-ts store test ${store}" tries it alone`,
  };
}

/** `strangers`: public keys the device has and the configuration has not. */
export function notOnDevice(publicKey: string, strangers: readonly string[]): Cause {
  const others = strangers.length === 0 ? "" : `; the device has ${strangers.slice(0, 3).join(", ")} instead`;
  return {
    text: `the peer is not on the device: no peer there has the public key ${publicKey}`,
    hint: `correct public_key, or add the peer to WireGuard${others}`,
  };
}

export function noKeepalive(): Cause {
  return {
    text: "no keepalive: an idle tunnel loses its NAT mapping, and the peer cannot reach this host then",
    hint: "set PersistentKeepalive = 25, on both sides",
  };
}

/** `addresses`: those of the record that is not ours. */
export function foreignRecord(addresses: string): Cause {
  return {
    text: `another host publishes with this host's key: the store has ${addresses}, which this host did not write`,
    hint: "two hosts have the same private key (a copied machine?): make a new one with wg genkey for one of them",
  };
}

/** A record as it was first seen. Times are of this host's wall clock. */
export interface SeenRecord {
  /** Seconds since 1970 by the peer's clock, or more: it only grows. */
  readonly sequence: number;
  readonly seenAtMs: number;
  /** When it was not there yet; undefined = not known, so it may be of any age. */
  readonly absentAtMs?: number | undefined;
}

/** What a record says about the two clocks; undefined when they agree as far as can be told. */
export function clocksDiffer({ sequence, seenAtMs, absentAtMs = 0 }: SeenRecord): Cause | undefined {
  const aheadMs = sequence * 1000 - seenAtMs;
  const behindMs = absentAtMs - sequence * 1000;
  const hint =
    "set both clocks (NTP); if no handshake comes after that, restart WireGuard on both hosts: it refuses time stamps older than the last one";
  if (aheadMs >= CLOCKS_DIFFER_MS) {
    const text = `the peer's record is from ${formatDuration(aheadMs)} in the future: the clock of the peer is ahead, or this host's is behind`;
    return { text, hint };
  }
  if (behindMs < CLOCKS_DIFFER_MS) return undefined;
  const text = `the peer's record was new ${formatDuration(behindMs)} after its own date: the clock of the peer is behind, or this host's is ahead`;
  return { text, hint };
}

/** WireGuard's listen port became another one. */
export interface PortChange {
  readonly from: number;
  readonly to: number;
  /** ISO 8601. */
  readonly at: string;
}

export function portChanged({ from, to, at }: PortChange): Cause {
  return {
    text: `WireGuard's listen port changed from ${from} to ${to} at ${at}`,
    hint: "peers that cannot reach this host any more find its new address in the store",
  };
}
