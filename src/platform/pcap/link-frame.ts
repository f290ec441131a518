/**
 * What libpcap captures, from the link-layer header on, down to the UDP datagram in it. Pure; never throws, whatever the
 * bytes, and gives undefined for everything that is not exactly right.
 *
 * Link types: https://www.tcpdump.org/linktypes.html; the numbers here are those of DLT_ in <pcap/dlt.h>. VLAN tags are those
 * of IEEE 802.1Q and 802.1ad, one or two of them. RFC 1661 PPP, RFC 1662 its framing, RFC 2516 PPPoE.
 */
import { decodeUdpOverIp, type UdpPacket } from "../frame.ts";

/** Returns the IP packet in a frame, if there can be one. */
type Unwrap = (frame: Uint8Array) => Uint8Array | undefined;

/** The link types an IP packet may come in by. */
export const dlt = {
  null: 0,
  ethernet: 1,
  ppp: 9,
  raw: 12,
  rawOfOpenBsd: 14,
  pppSerial: 50,
  pppOverEthernet: 51,
  rawOfFiles: 101,
  loop: 108,
  linuxCooked: 113,
  ipv4: 228,
  ipv6: 229,
  linuxCooked2: 276,
} as const;

const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const VLAN_ETHERTYPES: ReadonlySet<number> = new Set([0x8100, 0x88a8, 0x9100]);
const VLAN_TAGS_MAX = 2;
const VLAN_TAG_BYTES = 4;
const PPP_IPV4 = 0x0021;
const PPP_IPV6 = 0x0057;

/** The address family in front of the packet is skipped: its numbers differ by system, and the packet says its version too. */
const afterFamily: Unwrap = (frame) => frame.subarray(4);
const whole: Unwrap = (frame) => frame;

const unwrapByLinkType: ReadonlyMap<number, Unwrap> = new Map<number, Unwrap>([
  [dlt.null, afterFamily],
  [dlt.loop, afterFamily],
  [dlt.ethernet, (frame) => afterEtherType(frame, 12)],
  // Destination and source address are left out in these; the type stands at the end of the header, or at its beginning.
  [dlt.linuxCooked, (frame) => afterEtherType(frame, 14)],
  [dlt.linuxCooked2, (frame) => (isIpType(read16(frame, 0)) ? frame.subarray(20) : undefined)],
  // Behind "all stations, unnumbered information" (RFC 1662), which libpcap takes for granted as well.
  [dlt.ppp, (frame) => afterPppProtocol(frame, 2)],
  [dlt.pppSerial, (frame) => afterPppProtocol(frame, 2)],
  [dlt.pppOverEthernet, (frame) => afterPppProtocol(frame, 6)],
  ...[dlt.raw, dlt.rawOfOpenBsd, dlt.rawOfFiles, dlt.ipv4, dlt.ipv6].map((type) => [type, whole] as const),
]);

/** Whether IP packets can be found in frames of this type (DLT_). */
export function isKnownLinkType(linkType: number): boolean {
  return unwrapByLinkType.has(linkType);
}

/** Decodes the UDP datagram in a captured frame, which may have padding behind it. */
export function decodeFrame(frame: Uint8Array, linkType: number): UdpPacket | undefined {
  const packet = unwrapByLinkType.get(linkType)?.(frame);
  return packet && decodeUdpOverIp(packet);
}

/** What follows the EtherType at `offset`, VLAN tags skipped, when that is IP. */
function afterEtherType(frame: Uint8Array, offset: number): Uint8Array | undefined {
  let at = offset;
  for (let tags = 0; tags < VLAN_TAGS_MAX && VLAN_ETHERTYPES.has(read16(frame, at)); tags++) at += VLAN_TAG_BYTES;
  return isIpType(read16(frame, at)) ? frame.subarray(at + 2) : undefined;
}

function afterPppProtocol(frame: Uint8Array, offset: number): Uint8Array | undefined {
  const protocol = read16(frame, offset);
  return protocol === PPP_IPV4 || protocol === PPP_IPV6 ? frame.subarray(offset + 2) : undefined;
}

function isIpType(etherType: number): boolean {
  return etherType === ETHERTYPE_IPV4 || etherType === ETHERTYPE_IPV6;
}

/** 0, which is no type or protocol of anything, where the frame ends before. */
function read16(frame: Uint8Array, offset: number): number {
  return ((frame[offset] ?? 0) << 8) | (frame[offset + 1] ?? 0);
}
