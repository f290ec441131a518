/**
 * What the program needs from an operating system. Nothing here knows what STUN or WireGuard is: the caller says which
 * datagrams it wants by one 32-bit word of their payload.
 */
import type { Family, TransportAddress } from "../address.ts";

export interface Platform {
  readonly name: "linux" | "freebsd" | "darwin";
  /**
   * Opens a probe socket. Throws PERMISSION_DENIED (with the capability or right that is missing and how to grant it)
   * or SYSTEM_CALL_FAILED.
   */
  openProbeSocket(options: ProbeSocketOptions): Promise<ProbeSocket>;
  /** Opens one ICMP socket for all ping targets of a family behind a network interface. Throws as openProbeSocket does. */
  openPinger(options: PingerOptions): Promise<Pinger>;
  /**
   * Calls `onChange` soon after addresses, routes or the state of links of this host changed; never for neighbours (ARP),
   * timers or counters. A burst of changes is a burst of calls, though the same change is not told twice in one turn of
   * the event loop: the caller debounces. Lost messages count as one change, and a watch that breaks renews itself. Needs
   * no privilege. Throws SYSTEM_CALL_FAILED when it cannot begin.
   */
  watchNetwork(onChange: (what: NetworkChange) => void, options?: WatchNetworkOptions): Promise<Closable>;
}

/** What changed, for the log. `onChange` must not throw, and may close the watch. */
export interface NetworkChange {
  /** `unknown`: the system could not say, as it had more to say than there was room for. */
  readonly kind: "address" | "route" | "link" | "unknown";
  /** The network interface, where there is one. */
  readonly interface?: string;
}

export interface WatchNetworkOptions {
  /**
   * Changes of interfaces of these names, and of routes through them alone, are none: the tunnels. Asked anew for each,
   * because an interface that is made again may have another name (macOS). Default: none is ignored.
   */
  isIgnored?(name: string): boolean;
}

export interface Closable {
  close(): Promise<void>;
}

/** Sends from, and listens beside, a UDP port that another socket (WireGuard's) is bound to. */
export interface ProbeSocket extends Closable {
  /** Sends one UDP datagram from the local port. Rejects with SYSTEM_CALL_FAILED (no route, interface down, ...). */
  send(payload: Uint8Array, to: TransportAddress): Promise<void>;
}

export interface ProbeSocketOptions {
  readonly family: Family;
  /** 1..65535, the port WireGuard listens on. */
  readonly localPort: number;
  /** fwmark of the WireGuard device, 0 = none. */
  readonly firewallMark: number;
  /**
   * How to listen: `raw` by a raw socket (Linux only), `pcap` by libpcap on each interface; `auto` is raw on Linux and pcap
   * on FreeBSD and macOS.
   */
  readonly capture: CaptureKind;
  /** pcap: interfaces to capture on; empty = all that are up and no loopback, unless `listenDefaultRoute`. */
  readonly interfaces: readonly string[];
  /** pcap: capture on the interface of the family's default route (also). */
  readonly listenDefaultRoute: boolean;
  /** FreeBSD: the routing table (FIB) to send by; undefined = the process's. */
  readonly fib?: number | undefined;
  /** The WireGuard interface itself, which is never captured on. */
  readonly excludeInterface: string;
  /** Deliver only datagrams to `localPort` whose 32-bit big-endian word at `offset` of the UDP payload is `value`. */
  readonly match: { readonly offset: number; readonly value: number };
  /** Called for each datagram from the moment the socket is open until close() resolves. Must not throw. */
  onDatagram(datagram: Datagram): void;
  /** pcap: called for each interface that cannot be listened on (any more), with one line why; the others go on. */
  onSkipped?(skipped: { readonly interface: string; readonly reason: string }): void;
}

export type CaptureKind = "auto" | "raw" | "pcap";

export interface Datagram {
  /** UDP payload; the receiver may keep it. */
  readonly payload: Uint8Array;
  readonly from: TransportAddress;
}

export interface PingerOptions {
  readonly family: Family;
  /** Echo requests leave by this interface and only answers that come in by it count. */
  readonly interface: string;
  /** FreeBSD: the routing table (FIB) to send by; undefined = the process's. */
  readonly fib?: number | undefined;
}

export interface Pinger extends Closable {
  /**
   * Sends one ICMP echo request to `target` (an IP literal of the pinger's family) and resolves with the round-trip
   * time in milliseconds, or undefined when no answer came within `timeoutMs`. Rejects with SYSTEM_CALL_FAILED when
   * the request could not be sent, with the signal's reason when aborted.
   */
  ping(
    target: string,
    options: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<number | undefined>;
}
