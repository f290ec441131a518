/**
 * What the daemon knows, as others may see it: the answer of the control socket, the output of `status --json`, and what
 * metrics are made of. Plain JSON: times are ISO 8601 of the wall clock, addresses text, and nothing in it is secret.
 */
import type { ErrorCode } from "./errors.ts";

export interface DaemonStatus {
  readonly version: string;
  readonly pid: number;
  readonly startedAt: string;
  /** The configuration in use. */
  readonly config: { readonly path: string; readonly loadedAt: string; readonly error?: string };
  readonly interfaces: readonly InterfaceStatus[];
  readonly stores: readonly StoreStatus[];
}

export interface InterfaceStatus {
  readonly name: string;
  /** `waiting`: there is no usable device, `reason` says why. */
  readonly state: "ready" | "waiting";
  readonly reason?: string;
  /** What else is worth knowing, one sentence each; missing when there is nothing. */
  readonly notes?: readonly string[];
  readonly device?: {
    /** The name the operating system knows, on macOS another one (utun4) than the configuration's. */
    readonly name: string;
    readonly publicKey: string;
    readonly listenPort: number;
    /** 0 = none. */
    readonly firewallMark: number;
  };
  /** Own mapped addresses, by family. */
  readonly own: { readonly ipv4?: MappedStatus; readonly ipv6?: MappedStatus };
  /** Why the last discovery failed; missing when it did not. */
  readonly discoveryError?: FailureStatus;
  readonly mapping?: MappingStatus;
  readonly counters: InterfaceCounters;
  readonly peers: readonly PeerStatus[];
}

export interface MappedStatus {
  /** `203.0.113.7:40112`, `[2001:db8::7]:51820` */
  readonly address: string;
  readonly server: string;
  readonly rttMs: number;
  readonly discoveredAt: string;
}

export interface MappingStatus {
  readonly family: "ipv4" | "ipv6";
  /** In words of RFC 4787: "endpoint-independent", "address and port-dependent", ..., "no NAT", "unknown". */
  readonly behavior: string;
  readonly preservesPort?: boolean;
  /** Scope of the mapped address: "public", "cgnat", "private" ... */
  readonly scope?: string;
  readonly observedAt: string;
}

/** Since the daemon started. */
export interface InterfaceCounters {
  readonly discoveries: number;
  readonly discoveryFailures: number;
}

export interface FailureStatus {
  readonly at: string;
  /** One line for a person. */
  readonly message: string;
  readonly code?: ErrorCode;
}

/**
 * reachable    the tunnel works
 * receiving    packets of the peer arrive, but there is no session, or the ping target does not answer
 * unreachable  nothing is heard
 * missing      the peer is not on the device
 * waiting      the device is not there
 */
export type PeerStateName = "reachable" | "receiving" | "unreachable" | "missing" | "waiting";

export interface PeerStatus {
  readonly name: string;
  readonly description?: string;
  readonly publicKey: string;
  readonly state: PeerStateName;
  /** Since when. */
  readonly since: string;
  /** Why it is not reachable and what may help, in one sentence; missing when it is reachable. */
  readonly why?: string;
  /** What is not as it should be, reachable or not, one sentence each; missing when there is nothing. */
  readonly notes?: readonly string[];
  readonly endpoint?: string;
  /** `record`: set from the peer's record; `remembered`: from before a restart; `wireguard`: configured, or learned by WireGuard itself. */
  readonly endpointFrom?: "record" | "remembered" | "wireguard";
  readonly latestHandshakeAt?: string;
  readonly receivedBytes?: number;
  readonly sentBytes?: number;
  /** Seconds; 0 = off. */
  readonly persistentKeepalive?: number;
  readonly ping?: {
    readonly target: string;
    readonly verdict: "unknown" | "up" | "down";
    readonly since: string;
    readonly rttMs?: number;
    /** Share of the last 60 that were lost, 0..1. */
    readonly loss: number;
  };
  /** What the peer published last, as far as it was accepted. */
  readonly record?: {
    readonly ipv4?: string;
    readonly ipv6?: string;
    readonly sequence?: number;
    /** What the peer says of its NAT's mapping. */
    readonly nat?: string;
    readonly acceptedAt?: string;
  };
  /** By store: what was last written there for this peer. */
  readonly published: readonly {
    readonly plugin: string;
    readonly at: string;
    readonly addresses: readonly string[];
  }[];
  readonly publishError?: FailureStatus;
  readonly fetch?: { readonly at: string; readonly result: "changed" | "unchanged" | "absent" | "failed" };
  readonly fetchError?: FailureStatus;
  /**
   * The next turn that is planned, and what for (publishing.ts: `interval`, `poll`, `change`, `failure`). Missing while one
   * is under way.
   */
  readonly next?: { readonly at: string; readonly reason: string };
  readonly busy: boolean;
  readonly plugins: readonly string[];
  readonly counters: PeerCounters;
}

/** Since the daemon started. */
export interface PeerCounters {
  /** Writes to stores, failed ones too. */
  readonly publishes: number;
  readonly publishFailures: number;
  /** Looks at stores, failed ones too. */
  readonly fetches: number;
  readonly fetchFailures: number;
  readonly endpointWrites: number;
  /** Times the tunnel was found dead. */
  readonly downs: number;
}

export interface StoreStatus {
  readonly name: string;
  /** As in the configuration: `file`, `exec`, ... */
  readonly type: string;
  readonly calls: number;
  readonly failures: number;
  /** Of all calls together, seconds. */
  readonly seconds: number;
  /** The last failure, also when calls went well after it. */
  readonly lastError?: FailureStatus;
}
