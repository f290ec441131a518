/**
 * Linux's struct sockaddr_in and sockaddr_in6, and the control message that chooses a source address. Pure.
 * ip(7), ipv6(7), cmsg(3).
 */
import { endianness } from "node:os";

export const AF_INET = 2;
export const AF_INET6 = 10;

const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;
const IPPROTO_IP = 0;
const IP_PKTINFO = 8;
const PKTINFO_BYTES = 12;
const isLittleEndian = endianness() === "LE";

/**
 * Encodes a socket address of an IP address (4 or 16 bytes) with port 0, the only one raw sockets accept for IPv6 and one
 * they take no notice of for IPv4.
 */
export function encodeSocketAddress(ip: Uint8Array): Uint8Array {
  const isIpv4 = ip.length === 4;
  const address = new Uint8Array(isIpv4 ? SOCKADDR_IN_BYTES : SOCKADDR_IN6_BYTES);
  new DataView(address.buffer).setUint16(0, isIpv4 ? AF_INET : AF_INET6, isLittleEndian);
  address.set(ip, isIpv4 ? 4 : 8);
  return address;
}

/** The IP address (4 or 16 bytes) in a socket address that the kernel wrote; a view, not a copy. */
export function ipOfSocketAddress(address: Uint8Array): Uint8Array {
  const family = new DataView(address.buffer, address.byteOffset).getUint16(0, isLittleEndian);
  return family === AF_INET ? address.subarray(4, 8) : address.subarray(8, 24);
}

/** Encodes an IP_PKTINFO control message: send with this IPv4 source address. `wordBytes` is sizeof(size_t). */
export function encodePacketInfo(source: Uint8Array, wordBytes: number): Uint8Array {
  const headerBytes = wordBytes + 8;
  const control = new Uint8Array(Math.ceil((headerBytes + PKTINFO_BYTES) / wordBytes) * wordBytes);
  const view = new DataView(control.buffer);
  const length = headerBytes + PKTINFO_BYTES;
  if (wordBytes === 8) view.setBigUint64(0, BigInt(length), isLittleEndian);
  else view.setUint32(0, length, isLittleEndian);
  view.setInt32(wordBytes, IPPROTO_IP, isLittleEndian);
  view.setInt32(wordBytes + 4, IP_PKTINFO, isLittleEndian);
  // struct in_pktinfo { int ifindex (0 = by route); in_addr spec_dst (the source); in_addr addr (not used to send) }
  control.set(source, headerBytes + 4);
  return control;
}
