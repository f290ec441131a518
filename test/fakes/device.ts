/** What WireGuard says about a device with one peer, and that peer's configuration; keys are real ones. */
import type { PeerConfig } from "../../src/config/types.ts";
import type { WireGuardDevice, WireGuardPeer } from "../../src/wg/types.ts";
import { createKeyPair, keyBytes } from "./wg-device.ts";

export interface KeyBytes {
  readonly privateKey: Uint8Array;
  readonly publicKey: Uint8Array;
}

/** A new key pair as WireGuardControl hands keys out. */
export function createKeys(): KeyBytes {
  const { privateKey, publicKey } = createKeyPair();
  return { privateKey: keyBytes(privateKey), publicKey: keyBytes(publicKey) };
}

/** The configuration of a peer with a new key; `some` replaces. */
export function createPeerConfig(some: Partial<PeerConfig> = {}): PeerConfig {
  return { name: "site2", publicKey: createKeys().publicKey, plugins: ["store"], protocol: "ipv4", ...some };
}

/** What a look at the device says about a peer without an endpoint; `some` replaces. */
export function createPeerReading({ publicKey }: PeerConfig, some: Partial<WireGuardPeer> = {}): WireGuardPeer {
  return {
    publicKey,
    receivedBytes: 0,
    sentBytes: 0,
    allowedIps: ["10.99.0.2/32"],
    persistentKeepalive: 25,
    ...some,
  };
}

/** A device with a new key and these peers; `some` replaces. */
export function createReading(
  peers: readonly WireGuardPeer[] = [],
  some: Partial<WireGuardDevice> = {},
): WireGuardDevice {
  return { name: "wg0", listenPort: 51820, firewallMark: 0, ...createKeys(), peers, ...some };
}
