/**
 * What listening through libpcap needs of an operating system: a socket that only sends, and the default route.
 *
 * Capturing itself, and the list of interfaces, are the same code everywhere; the numbers that differ are in tables by
 * the system's name.
 */
import type { Family, TransportAddress } from "../../address.ts";
import type { Clock } from "../../clock.ts";
import type { Platform, ProbeSocketOptions } from "../types.ts";

export type SystemName = Platform["name"];

/** Sends UDP datagrams from `localPort`, beside WireGuard's socket, and receives nothing. */
export interface DatagramSender {
  /**
   * Sends one datagram now. Throws SYSTEM_CALL_FAILED ("Cannot send a datagram to 192.0.2.1:3478: why"), also when it is
   * closed, and a RangeError for an address of the other family.
   */
  send(payload: Uint8Array, to: TransportAddress): void;
  /** Does nothing the second time. */
  close(): void;
}

/** Opens a sender; of the options it needs `family`, `localPort`, `firewallMark` and `fib`. Rejects as openProbeSocket does. */
export type OpenSender = (options: ProbeSocketOptions) => Promise<DatagramSender>;

/**
 * The name of the interface the default route of `family` leaves by (with a gateway or without), or undefined when there is
 * none. Rejects with SYSTEM_CALL_FAILED, or with the signal's reason when aborted.
 */
export type ReadDefaultRoute = (
  family: Family,
  options: { readonly fib?: number | undefined; readonly signal: AbortSignal },
) => Promise<string | undefined>;

export interface PcapDeps {
  readonly clock: Clock;
  readonly openSender: OpenSender;
  readonly readDefaultRoute: ReadDefaultRoute;
  readonly system: SystemName;
}
