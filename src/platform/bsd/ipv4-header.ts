/**
 * The IPv4 header as macOS gives it to raw sockets: ip_len and ip_off in host byte order, and ip_len without the header.
 * Pure. ip(4) of macOS; FreeBSD does so no more since release 11.
 */
import { endianness } from "node:os";

const isLittleEndian = endianness() === "LE";
const HEADER_MIN_BYTES = 20;

/**
 * Returns a copy of `packet` with the header as it was on the wire (its checksum aside); undefined when it is no IPv4
 * packet, or its length is another one than that of what was received.
 */
export function restoreIpv4Header(packet: Uint8Array): Uint8Array | undefined {
  const [first = 0] = packet;
  const headerBytes = (first & 0x0f) * 4;
  if (first >> 4 !== 4 || headerBytes < HEADER_MIN_BYTES || packet.length < headerBytes) return undefined;
  const restored = packet.slice();
  const view = new DataView(restored.buffer);
  if (view.getUint16(2, isLittleEndian) + headerBytes !== packet.length) return undefined;
  view.setUint16(2, packet.length);
  view.setUint16(6, view.getUint16(6, isLittleEndian));
  return restored;
}
