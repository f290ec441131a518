/**
 * UDP and ICMP as bytes: what a raw socket sends and gets. Pure.
 *
 * Decoders return undefined for whatever is not exactly right and never throw, whatever the bytes; they never look at a
 * UDP checksum (between virtual interfaces a datagram travels with an unfinished one). What they return is a copy.
 * RFC 768 UDP, RFC 791 IPv4, RFC 792 ICMP, RFC 1071 checksum, RFC 4443 ICMPv6, RFC 8200 IPv6.
 */
import { formatIp, type TransportAddress, transportAddress } from "../address.ts";

const UDP_HEADER_BYTES = 8;
const ICMP_HEADER_BYTES = 8;
const IPV6_HEADER_BYTES = 40;
const PROTOCOL_ICMP = 1;
const PROTOCOL_UDP = 17;
/** "More fragments" and the offset: both 0 in a packet that is whole. */
const FRAGMENT_MASK = 0x3fff;

const echoTypes = {
  ipv4: { request: 8, reply: 0 },
  ipv6: { request: 128, reply: 129 },
} as const;

export interface UdpHeader {
  readonly sourcePort: number;
  readonly destinationPort: number;
  /**
   * The addresses (4 or 16 bytes each) the packet will travel with, which the checksum covers. Without them the checksum
   * is left 0 for the kernel to fill in.
   */
  readonly addresses?: { readonly source: Uint8Array; readonly destination: Uint8Array } | undefined;
}

export interface UdpDatagram {
  readonly from: TransportAddress;
  readonly toPort: number;
  readonly payload: Uint8Array;
}

/** A datagram whose destination address is known too. */
export interface UdpPacket {
  readonly from: TransportAddress;
  readonly to: TransportAddress;
  readonly payload: Uint8Array;
}

export interface Echo {
  readonly identifier: number;
  readonly sequence: number;
  readonly data: Uint8Array;
}

/** Encodes a UDP datagram, header first. */
export function encodeUdp(payload: Uint8Array, { sourcePort, destinationPort, addresses }: UdpHeader): Uint8Array {
  const datagram = new Uint8Array(UDP_HEADER_BYTES + payload.length);
  const view = new DataView(datagram.buffer);
  view.setUint16(0, sourcePort);
  view.setUint16(2, destinationPort);
  view.setUint16(4, datagram.length);
  datagram.set(payload, UDP_HEADER_BYTES);
  if (addresses) {
    const pseudoHeader = [addresses.source, addresses.destination, Uint8Array.of(0, PROTOCOL_UDP), view16(view, 4)];
    // 0 would say "no checksum": RFC 768 sends it as all ones, which is the same number in ones' complement.
    view.setUint16(6, internetChecksum([...pseudoHeader, datagram]) || 0xffff);
  }
  return datagram;
}

/** Decodes a packet that begins with an IPv4 header, of any length. */
export function decodeUdpOverIpv4(packet: Uint8Array): UdpDatagram | undefined {
  const ip = splitIpv4(packet, PROTOCOL_UDP);
  return ip && decodeUdp(ip.body, ip.source);
}

/** Decodes a packet that begins with the UDP header and came from the IP address `source` (4 or 16 bytes). */
export function decodeUdp(packet: Uint8Array, source: Uint8Array): UdpDatagram | undefined {
  if (packet.length < UDP_HEADER_BYTES || (source.length !== 4 && source.length !== 16)) return undefined;
  const view = viewOf(packet);
  const length = view.getUint16(4);
  if (length < UDP_HEADER_BYTES || length > packet.length) return undefined;
  const from = transportAddress(formatIp(source), view.getUint16(0));
  if (!from) return undefined;
  return { from, toPort: view.getUint16(2), payload: Uint8Array.from(packet.subarray(UDP_HEADER_BYTES, length)) };
}

/**
 * Decodes a packet that begins with an IPv4 or IPv6 header and may have something behind it. In IPv6 UDP has to follow the
 * header at once: nobody sends a small answer with extension headers, and routers drop many that have some (RFC 7872).
 */
export function decodeUdpOverIp(packet: Uint8Array): UdpPacket | undefined {
  const ip = splitIpv4(packet, PROTOCOL_UDP) ?? splitIpv6(packet, PROTOCOL_UDP);
  const datagram = ip && decodeUdp(ip.body, ip.source);
  const to = datagram && transportAddress(formatIp(ip.destination), datagram.toPort);
  return to && { from: datagram.from, to, payload: datagram.payload };
}

/** Whether the big-endian 32-bit word at `offset` of `payload` is `value`. */
export function hasWord(
  payload: Uint8Array,
  { offset, value }: { readonly offset: number; readonly value: number },
): boolean {
  if (payload.length < offset + 4) return false;
  return viewOf(payload).getUint32(offset) === value >>> 0;
}

/** Encodes an ICMP echo request; for ICMPv6 the checksum is left 0, as the kernel always computes it (RFC 3542, 3.1). */
export function encodeEchoRequest({ identifier, sequence, data }: Echo, family: "ipv4" | "ipv6"): Uint8Array {
  const message = new Uint8Array(ICMP_HEADER_BYTES + data.length);
  const view = new DataView(message.buffer);
  view.setUint8(0, echoTypes[family].request);
  view.setUint16(4, identifier);
  view.setUint16(6, sequence);
  message.set(data, ICMP_HEADER_BYTES);
  if (family === "ipv4") view.setUint16(2, internetChecksum([message]));
  return message;
}

/** Decodes an ICMP echo reply that begins with an IPv4 header; its checksum must be right. */
export function decodeEchoReplyOverIpv4(packet: Uint8Array): (Echo & { readonly source: Uint8Array }) | undefined {
  const ip = splitIpv4(packet, PROTOCOL_ICMP);
  // A raw socket gets its copy before the kernel looks at the checksum.
  if (!ip || internetChecksum([ip.body]) !== 0) return undefined;
  const echo = decodeEcho(ip.body, echoTypes.ipv4.reply);
  return echo && { ...echo, source: Uint8Array.from(ip.source) };
}

/** Decodes an ICMPv6 echo reply that begins with the ICMPv6 header; the kernel has verified its checksum (RFC 3542, 3.1). */
export function decodeEchoReply(message: Uint8Array): Echo | undefined {
  return decodeEcho(message, echoTypes.ipv6.reply);
}

function decodeEcho(message: Uint8Array, type: number): Echo | undefined {
  if (message.length < ICMP_HEADER_BYTES || message[0] !== type || message[1] !== 0) return undefined;
  const view = viewOf(message);
  const data = Uint8Array.from(message.subarray(ICMP_HEADER_BYTES));
  return { identifier: view.getUint16(4), sequence: view.getUint16(6), data };
}

interface IpPacket {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly body: Uint8Array;
}

/** A whole IPv4 packet of `protocol`. */
function splitIpv4(packet: Uint8Array, protocol: number): IpPacket | undefined {
  const [first = 0] = packet;
  const headerBytes = (first & 0x0f) * 4;
  if (first >> 4 !== 4 || headerBytes < 20 || packet.length < headerBytes) return undefined;
  const view = viewOf(packet);
  const totalBytes = view.getUint16(2);
  if (totalBytes < headerBytes || totalBytes > packet.length) return undefined;
  if ((view.getUint16(6) & FRAGMENT_MASK) !== 0 || packet[9] !== protocol) return undefined;
  return {
    source: packet.subarray(12, 16),
    destination: packet.subarray(16, 20),
    body: packet.subarray(headerBytes, totalBytes),
  };
}

/** A whole IPv6 packet whose header is followed by `protocol`. */
function splitIpv6(packet: Uint8Array, protocol: number): IpPacket | undefined {
  const [first = 0] = packet;
  if (first >> 4 !== 6 || packet.length < IPV6_HEADER_BYTES || packet[6] !== protocol) return undefined;
  const totalBytes = IPV6_HEADER_BYTES + viewOf(packet).getUint16(4);
  if (totalBytes > packet.length) return undefined;
  return {
    source: packet.subarray(8, 24),
    destination: packet.subarray(24, 40),
    body: packet.subarray(IPV6_HEADER_BYTES, totalBytes),
  };
}

/** RFC 1071 over the concatenation of `parts`, of which only the last may have an odd length. */
function internetChecksum(parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let index = 0; index < part.length; index += 2) {
      sum += ((part[index] ?? 0) << 8) | (part[index + 1] ?? 0);
    }
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function view16(view: DataView, offset: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + offset, 2);
}
