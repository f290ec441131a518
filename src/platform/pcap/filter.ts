/**
 * Which packets a capture lets in, as an expression of pcap-filter(7), which libpcap compiles for the link type it has. Pure.
 *
 * The expression finds the UDP header behind IPv4 options, and behind VLAN tags where the link type can have them. It says
 * nothing about the destination address: that may change while a capture runs. Whoever gets packets matches them again.
 */
import type { Family } from "../../address.ts";
import { dlt } from "./link-frame.ts";

interface FilterOptions {
  readonly family: Family;
  readonly port: number;
  /** The 32-bit big-endian word at `offset` of the UDP payload is `value`. */
  readonly match: { readonly offset: number; readonly value: number };
}

const UDP_HEADER_BYTES = 8;
const IPV6_HEADER_BYTES = 40;
const PROTOCOL_UDP = 17;

/** The expression for packets of `linkType` (DLT_). */
export function formatFilter(options: FilterOptions, linkType: number): string {
  const plain = options.family === "ipv4" ? formatIpv4(options) : formatIpv6(options);
  // "vlan" moves everything after it behind one more tag, to the end of the expression: the second one means two tags.
  return linkType === dlt.ethernet ? `(${plain}) or (vlan and ${plain}) or (vlan and ${plain})` : plain;
}

function formatIpv4({ port, match: { offset, value } }: FilterOptions): string {
  // udp[] counts from behind IP options, and only in packets that are no later fragment.
  return `ip and udp dst port ${port} and udp[${UDP_HEADER_BYTES + offset}:4] = ${hex(value)}`;
}

function formatIpv6({ port, match: { offset, value } }: FilterOptions): string {
  // udp[] is for IPv4 only.
  const word = `ip6[${IPV6_HEADER_BYTES + UDP_HEADER_BYTES + offset}:4] = ${hex(value)}`;
  return `ip6 and ip6[6] = ${PROTOCOL_UDP} and ip6[${IPV6_HEADER_BYTES + 2}:2] = ${port} and ${word}`;
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
