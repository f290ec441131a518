/**
 * NaCl crypto_box with WireGuard keys: X25519, HSalsa20, XSalsa20-Poly1305, and the text form STUNMESH-go stores,
 * lowercase hex of nonce[24] ‖ tag[16] ‖ ciphertext. Reference: https://nacl.cr.yp.to/box.html
 */
import { createPrivateKey, createPublicKey, diffieHellman, randomBytes } from "node:crypto";
import { hsalsa, xsalsa20poly1305 } from "@noble/ciphers/salsa.js";
import { StunmeshError } from "./errors.ts";

const NONCE_BYTES = 24;
const TAG_BYTES = 16;
/** Salsa20's constant for 32-byte keys, as words. */
const SIGMA = new Uint32Array(Uint8Array.from(Buffer.from("expand 32-byte k")).buffer);

/** A WireGuard key pair seen from one side: one's own private key and the other's public key, 32 bytes each. */
export interface BoxKeys {
  readonly privateKey: Uint8Array;
  readonly peerPublicKey: Uint8Array;
}

/** Characters of the sealed text of a plain text of `plainBytes` bytes. */
export function sealedChars(plainBytes: number): number {
  return 2 * (NONCE_BYTES + TAG_BYTES + plainBytes);
}

/** Encrypts and authenticates `plain`. `nonce` is for test vectors only; it is random otherwise. Throws KEY_INVALID. */
export function sealBox(plain: Uint8Array, keys: BoxKeys & { readonly nonce?: Uint8Array }): string {
  const nonce = keys.nonce ?? randomBytes(NONCE_BYTES);
  const sealed = xsalsa20poly1305(sharedKey(keys), nonce).encrypt(plain);
  return Buffer.concat([nonce, sealed]).toString("hex");
}

/** Opens what sealBox made with the other side's keys. Throws RECORD_UNREADABLE, saying why, or KEY_INVALID. */
export function openBox(sealed: string, keys: BoxKeys): Uint8Array {
  return createOpener(keys)(sealed);
}

/** The same for many texts: the keys are agreed upon once, which costs more than opening. */
export function createOpener(keys: BoxKeys): (sealed: string) => Uint8Array {
  let key: Uint8Array | undefined;
  return (sealed) => openWith(checkForm(sealed), () => (key ??= sharedKey(keys)));
}

function checkForm(sealed: string): Buffer {
  if (!/^(?:[0-9a-fA-F]{2})*$/.test(sealed)) {
    throw new StunmeshError("RECORD_UNREADABLE", "Cannot open a record: it is not hexadecimal text of even length");
  }
  const bytes = Buffer.from(sealed, "hex");
  if (bytes.length < NONCE_BYTES + TAG_BYTES) {
    throw new StunmeshError(
      "RECORD_UNREADABLE",
      `Cannot open a record: it has ${bytes.length} bytes, at least ${NONCE_BYTES + TAG_BYTES} wanted`,
    );
  }
  return bytes;
}

function openWith(bytes: Buffer, getKey: () => Uint8Array): Uint8Array {
  const key = getKey();
  try {
    return xsalsa20poly1305(key, bytes.subarray(0, NONCE_BYTES)).decrypt(bytes.subarray(NONCE_BYTES));
  } catch (cause) {
    throw new StunmeshError(
      "RECORD_UNREADABLE",
      "Cannot open a record: it was not sealed with this peer's key for this interface's key, or it was changed",
      { cause },
    );
  }
}

/** The key both sides share: HSalsa20 over the X25519 secret. OpenSSL refuses keys of low order (all-zero secret). */
function sharedKey({ privateKey, peerPublicKey }: BoxKeys): Uint8Array {
  const secret = new Uint32Array(8);
  try {
    const shared = diffieHellman({
      privateKey: createPrivateKey({ key: pkcs8(privateKey), format: "der", type: "pkcs8" }),
      publicKey: createPublicKey({ key: spki(peerPublicKey), format: "der", type: "spki" }),
    });
    new Uint8Array(secret.buffer).set(shared);
  } catch (cause) {
    throw new StunmeshError("KEY_INVALID", "Cannot use a peer's public key: it is not a usable Curve25519 key", {
      cause,
    });
  }
  const key = new Uint32Array(8);
  hsalsa(SIGMA, secret, new Uint32Array(4), key);
  return new Uint8Array(key.buffer);
}

/** RFC 8410: the DER headers of an X25519 private key (PKCS #8) and public key (SubjectPublicKeyInfo). */
function pkcs8(privateKey: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from("302e020100300506032b656e04220420", "hex"), checkedKey(privateKey)]);
}
function spki(publicKey: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from("302a300506032b656e032100", "hex"), checkedKey(publicKey)]);
}
function checkedKey(key: Uint8Array): Uint8Array {
  if (key.length === 32) return key;
  throw new StunmeshError("KEY_INVALID", `Cannot use a key of ${key.length} bytes: 32 wanted`);
}
