/**
 * WireGuard keys: 32 bytes, as text 64 hexadecimal digits (userspace protocol) or 44 characters of base64 (wg(8)).
 */
import { createPrivateKey, createPublicKey } from "node:crypto";

const KEY_BYTES = 32;

/** DER of a PKCS #8 PrivateKeyInfo for X25519 up to the key itself (RFC 8410 section 7). */
const pkcs8Prefix = Buffer.from("302e020100300506032b656e04220420", "hex");

/** Parses 64 hexadecimal digits; undefined for anything else. */
export function parseHexKey(text: string): Uint8Array | undefined {
  return /^[0-9A-Fa-f]{64}$/.test(text) ? toBytes(Buffer.from(text, "hex")) : undefined;
}

/** Parses the base64 of 32 bytes, with its padding; undefined for anything else. */
export function parseBase64Key(text: string): Uint8Array | undefined {
  // The last character carries four bits of the key and two that must be zero.
  if (!/^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/.test(text)) return undefined;
  return toBytes(Buffer.from(text, "base64"));
}

/** Formats a key as wg(8) does. Only for public keys. */
export function formatPublicKey(publicKey: Uint8Array): string {
  return Buffer.from(publicKey).toString("base64");
}

/** True for 32 zero bytes, which is how WireGuard says "no key". */
export function isNoKey(key: Uint8Array): boolean {
  return key.every((byte) => byte === 0);
}

/** The X25519 public key (32 bytes) of a private key (32 bytes; RFC 7748 clamping is part of it). */
export function derivePublicKey(privateKey: Uint8Array): Uint8Array {
  const der = Buffer.concat([pkcs8Prefix, privateKey]);
  try {
    const key = createPublicKey(createPrivateKey({ key: der, format: "der", type: "pkcs8" }));
    return toBytes(key.export({ format: "der", type: "spki" }).subarray(-KEY_BYTES));
  } finally {
    der.fill(0);
  }
}

/** A plain copy outside Node's shared pool, so that wiping or transferring one key never touches other memory. */
function toBytes(buffer: Buffer): Uint8Array {
  const bytes = Uint8Array.from(buffer);
  buffer.fill(0);
  return bytes;
}
