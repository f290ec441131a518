/**
 * struct sockaddr_in and sockaddr_in6 of 4.4BSD, whose first byte is their length. Pure.
 *
 * Decoders return undefined for whatever is not exactly right, and never throw. ip(4), inet6(4).
 */
import type { BsdConstants } from "./system.ts";

const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;

type Families = Pick<BsdConstants, "AF_INET" | "AF_INET6">;

/** Encodes the socket address of an IP address (4 or 16 bytes) and a port; raw sockets want port 0. */
export function encodeSocketAddress(ip: Uint8Array, { port, families }: { port: number; families: Families }) {
  const isIpv4 = ip.length === 4;
  const address = new Uint8Array(isIpv4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES);
  address[0] = address.length;
  address[1] = isIpv4 ? families.AF_INET : families.AF_INET6;
  new DataView(address.buffer).setUint16(2, port);
  address.set(ip, isIpv4 ? 4 : 8);
  return address;
}

/** The IP address (a copy, 4 or 16 bytes) in a socket address that the kernel wrote; undefined for another family. */
export function decodeIp(address: Uint8Array, families: Families): Uint8Array | undefined {
  const [length = 0, family] = address;
  if (length > address.length) return undefined;
  // A kernel may leave out the zeros at the end of sin_zero.
  if (family === families.AF_INET) return length >= 8 ? address.slice(4, 8) : undefined;
  return family === families.AF_INET6 && length >= SOCKADDR_IN6_BYTES ? address.slice(8, 24) : undefined;
}
