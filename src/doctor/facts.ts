/** What the doctor has found out, before anything is judged. Gathered by the files read-*.ts and probe.ts. */
import type { Family, TransportAddress } from "../address.ts";
import type { InterfaceConfig, PeerConfig } from "../config/types.ts";
import type { ErrorCode } from "../errors.ts";
import type { PeerRecord } from "../record.ts";
import type { FilteringBehavior } from "../stun/filtering.ts";
import type { MappingVerdict } from "../stun/mapping.ts";
import type { SurveyedServer } from "../stun/survey.ts";
import type { WireGuardDevice, WireGuardPeer } from "../wg/types.ts";

/** A call that failed. */
export interface Failure {
  /** One line for a person. */
  readonly message: string;
  readonly code: ErrorCode | undefined;
}

export interface HostFacts {
  readonly configPath: string;
  /** "2 interfaces, 3 peers, ...". */
  readonly summary: string;
  readonly warnings: readonly string[];
  readonly nodeVersion: string;
  /** Why native code cannot be used; undefined when it can. */
  readonly nativeError: string | undefined;
  readonly isRoot: boolean;
  /** The process's effective capabilities (Linux), else undefined. */
  readonly capabilities: bigint | undefined;
  /** Undefined when the system does not tell. */
  readonly isClockSynchronized: boolean | undefined;
  readonly nowMs: number;
}

export interface DeviceFacts {
  readonly config: InterfaceConfig;
  /** Undefined when it cannot be read: `failure` says why. */
  readonly device: WireGuardDevice | undefined;
  readonly failure: Failure | undefined;
  /** "process 531" when a daemon serves the interface, undefined when none does or nobody knows. */
  readonly servedBy: string | undefined;
  /** Bytes; undefined when not known. */
  readonly tunnelMtu: number | undefined;
  /** Of the way to the first STUN server. */
  readonly uplink: { readonly name: string; readonly mtu: number | undefined } | undefined;
  /** Destinations (a STUN server, a peer's endpoint) that an unmarked packet would reach through the tunnel itself. */
  readonly throughTunnel: readonly string[];
  /** Strict (1) on the uplink, and marks are not looked at; undefined when not known. */
  readonly isReversePathStrict: boolean | undefined;
  /** Of all interfaces of this host. */
  readonly ownAddresses: readonly string[];
  /** What pinging said, by peer name: a round-trip time, or undefined = no answer. Only where it is configured. */
  readonly pings: ReadonlyMap<string, number | undefined>;
  readonly nowMs: number;
}

/** A discovery as a daemon makes it, that has just been started. */
export interface DiscoveryFacts {
  /** The server whose answer was taken; undefined when there was none in time: `failure` says why. */
  readonly serverName: string | undefined;
  readonly failure: Failure | undefined;
  readonly tookMs: number;
  /** The servers whose turn came, in their order. */
  readonly asked: readonly string[];
}

/** What one family of an interface sees of the network. */
export interface StunFacts {
  readonly interface: string;
  readonly family: Family;
  /** With dualstack the other family may do. */
  readonly isOnlyFamily: boolean;
  /** From WireGuard's port; undefined when no socket could be opened: `failure` says why. */
  readonly survey: readonly SurveyedServer[] | undefined;
  readonly failure: Failure | undefined;
  /** What the daemon's own discovery did; undefined when no server answers anything. */
  readonly discovery: DiscoveryFacts | undefined;
  /** From any other port, and undefined when that was of no use or not possible. */
  readonly otherPort: readonly SurveyedServer[] | undefined;
  /** Asked only when nothing answered: STUN servers that a TCP connection reaches. */
  readonly tcpReaches: readonly string[];
  /** A peer that WireGuard heard from while the servers were asked, which proves that UDP works. */
  readonly heardFrom: string | undefined;
  readonly observation: MappingVerdict | undefined;
  /** Of WireGuard's port: only "endpoint-independent" or "unknown". */
  readonly portFiltering: FilteringBehavior;
  /** Of any port. */
  readonly filtering: FilteringBehavior;
  readonly hairpins: boolean | undefined;
  readonly localPort: number;
}

export interface StoreFacts {
  readonly name: string;
  /** The step that failed; missing when all went well. */
  readonly failed?: Failure & { readonly step: "read" | "write" | "read back" };
  readonly writeMs?: number;
  readonly readBackMs?: number;
  /** How far the clock of the server is ahead of ours, where it tells. */
  readonly clockSkewMs?: number | undefined;
}

/** One value that a store has. */
export type FoundValue =
  | { readonly plugin: string; readonly record: PeerRecord }
  | { readonly plugin: string; readonly failure: Failure };

export interface PeerFacts {
  readonly interface: string;
  readonly config: PeerConfig;
  readonly device: WireGuardDevice;
  /** Undefined when the peer is not on the device. */
  readonly onDevice: WireGuardPeer | undefined;
  /** What the peer published for us: records, and values that are none. */
  readonly found: readonly FoundValue[];
  /** What is in our own place for the peer. */
  readonly own: readonly FoundValue[];
  /** Stores that could not be read, by name. */
  readonly unreadable: ReadonlyMap<string, Failure>;
  /** From the state directory: the own sequence number that was used last. */
  readonly usedSequence: number | undefined;
  readonly servedBy: string | undefined;
  readonly nowMs: number;
}

/** What the judgements of peers need of STUN, by family. */
export type OwnNat = { readonly [family in Family]?: StunFacts };

/** The address of this host as the servers see it: the first of those that no other server contradicts. */
export function mappedOf(facts: StunFacts | undefined): TransportAddress | undefined {
  const believed = facts?.observation?.mapped[0]?.address;
  return believed ?? facts?.survey?.flatMap(({ answers }) => answers)[0]?.mapped;
}
