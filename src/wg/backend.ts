/**
 * The seam between the control (index.ts) and the ways to reach a device: a userspace daemon's socket, the command
 * wg(8). Adding another one is one more file and one more line in index.ts.
 */
import type { PeerEndpoint, WireGuardDevice, WireGuardPeer } from "./types.ts";

export interface WireGuardBackend {
  /**
   * Reads the device as it is now; undefined when this backend does not have it, so that the next one is asked. Throws
   * as WireGuardControl.readDevice does.
   */
  readDevice(name: string, signal: AbortSignal): Promise<WireGuardDevice | undefined>;
  /**
   * Moves endpoints of peers that are known to be on the device: a backend may create a peer that is not. `updates` is
   * never empty. Throws WG_DEVICE_NOT_FOUND when the device went away since it was read, WG_FAILED when it refused.
   */
  writeEndpoints(name: string, updates: readonly PeerEndpoint[], signal: AbortSignal): Promise<void>;
}

/** What a backend's text says about a device, before anything was checked but the text itself. */
export interface DecodedDevice {
  /** 32 bytes; undefined when there is none. */
  readonly privateKey: Uint8Array | undefined;
  /** 0..65535; 0 = none. */
  readonly listenPort: number;
  /** 0..2^32-1; 0 = none. */
  readonly firewallMark: number;
  readonly peers: readonly WireGuardPeer[];
}
