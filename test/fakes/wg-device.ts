/** The state of a WireGuard device as the fakes keep it (as JSON too): keys in base64, everything else as wg(8) shows it. */
import { randomBytes } from "node:crypto";
import nacl from "tweetnacl";

export interface FakeDevice {
  privateKey?: string;
  listenPort: number;
  firewallMark: number;
  peers: FakePeer[];
}

export interface FakePeer {
  publicKey: string;
  presharedKey?: string;
  /** As text, so that it can be anything. */
  endpoint?: string;
  allowedIps: string[];
  /** Seconds since 1970; 0 = never. */
  latestHandshake: number;
  receivedBytes: number;
  sentBytes: number;
  persistentKeepalive: number;
}

export interface KeyPair {
  readonly privateKey: string;
  readonly publicKey: string;
}

/**
 * A new key pair, in base64. Not made by node:crypto: in Node 20 the export of a generated key waits for itself for ever
 * when the garbage collector runs at that moment.
 */
export function createKeyPair(): KeyPair {
  const { secretKey, publicKey } = nacl.box.keyPair();
  // As wg genkey does: WireGuard clamps a key when it is set (RFC 7748, section 5).
  secretKey[0] = (secretKey[0] ?? 0) & 248;
  secretKey[31] = ((secretKey[31] ?? 0) & 127) | 64;
  return {
    privateKey: Buffer.from(secretKey).toString("base64"),
    publicKey: Buffer.from(publicKey).toString("base64"),
  };
}

/** A new preshared key, in base64. */
export function createPresharedKey(): string {
  return randomBytes(32).toString("base64");
}

/** A peer that nothing is known about, with a new key; `some` replaces. */
export function createFakePeer(some: Partial<FakePeer> = {}): FakePeer {
  return {
    publicKey: createKeyPair().publicKey,
    allowedIps: [],
    latestHandshake: 0,
    receivedBytes: 0,
    sentBytes: 0,
    persistentKeepalive: 0,
    ...some,
  };
}

/** The bytes of a key in base64. */
export function keyBytes(base64: string): Uint8Array {
  return Uint8Array.from(Buffer.from(base64, "base64"));
}
