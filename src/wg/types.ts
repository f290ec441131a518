/**
 * What the program needs from WireGuard: read a device, move an endpoint. Creating devices, peers, keys, addresses or
 * routes is out of scope.
 */
import type { TransportAddress } from "../address.ts";

export interface WireGuardControl {
  /**
   * Reads the device as it is now. Throws WG_DEVICE_NOT_FOUND (no such interface), WG_DEVICE_NOT_READY (no private key
   * or no listen port yet), WG_DEVICE_UNSUPPORTED (boringtun), WG_REPLY_INVALID, PERMISSION_DENIED, WG_TOOL_MISSING, TIMEOUT.
   */
  readDevice(name: string, signal: AbortSignal): Promise<WireGuardDevice>;
  /**
   * Moves the endpoints of peers of `device` in one call. Changes nothing else and never creates a peer: throws
   * WG_PEER_NOT_FOUND, having changed no endpoint, when a peer is not on the device. Resolves with the updates that were
   * written: all but those left out because of `unlessChangedSince`.
   */
  setPeerEndpoints(
    device: string,
    updates: readonly PeerEndpoint[],
    signal: AbortSignal,
  ): Promise<readonly PeerEndpoint[]>;
}

export interface PeerEndpoint {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly endpoint: TransportAddress;
  /**
   * The peer as the caller saw it. When its endpoint or latest handshake is another one by now, WireGuard has heard from
   * the peer meanwhile, and knows better: the update is left out.
   */
  readonly unlessChangedSince?: Pick<WireGuardPeer, "endpoint" | "latestHandshakeMs">;
}

export interface WireGuardDevice {
  readonly name: string;
  /** 1..65535 */
  readonly listenPort: number;
  /** 0 = none. */
  readonly firewallMark: number;
  /** 32 bytes; never log it. */
  readonly privateKey: Uint8Array;
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  readonly peers: readonly WireGuardPeer[];
}

export interface WireGuardPeer {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** Where WireGuard sends this peer's packets; undefined when it does not know yet. */
  readonly endpoint?: TransportAddress;
  /** Wall clock, milliseconds since 1970; undefined when there never was a handshake. */
  readonly latestHandshakeMs?: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
  /** Canonical text with prefix length: "10.99.0.2/32". */
  readonly allowedIps: readonly string[];
  /** Seconds; 0 = off. */
  readonly persistentKeepalive: number;
}
