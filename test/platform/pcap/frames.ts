/** Captured frames made by hand: an answer (the wanted word at offset 4) in every link layer that is known. */
import { encodeUdp } from "../../../src/platform/frame.ts";
import { dlt } from "../../../src/platform/pcap/link-frame.ts";
import { fromHex, ipv4Packet } from "../packets.ts";

export const WORD = 0x2112a442;
export const PORT = 51820;
export const match = { offset: 4, value: WORD };
export const sourceV6 = fromHex("20010db8000000000000000000000007");
export const destinationV6 = fromHex("20010db8000000000000000000000001");

interface AnswerOptions {
  readonly port?: number;
  readonly word?: number;
}

/** A UDP datagram from port 3478 with a payload of 20 bytes. */
export function answer({ port = PORT, word = WORD }: AnswerOptions = {}): Uint8Array {
  const payload = new Uint8Array(20);
  new DataView(payload.buffer).setUint32(4, word);
  return encodeUdp(payload, { sourcePort: 3478, destinationPort: port });
}

export function answerV4(options: AnswerOptions & { readonly optionBytes?: number; readonly fragment?: number } = {}) {
  return ipv4Packet(answer(options), { protocol: 17, ...options });
}

export function answerV6(options: AnswerOptions & { readonly protocol?: number } = {}): Uint8Array {
  const body = answer(options);
  const packet = new Uint8Array(40 + body.length);
  packet[0] = 0x60;
  new DataView(packet.buffer).setUint16(4, body.length);
  packet[6] = options.protocol ?? 17;
  packet.set(sourceV6, 8);
  packet.set(destinationV6, 24);
  packet.set(body, 40);
  return packet;
}

interface Layer {
  readonly name: string;
  readonly linkType: number;
  /** What stands before an IP packet of each version, as hexadecimal digits. */
  readonly ipv4: string;
  readonly ipv6: string;
}

const macs = "020000000001020000000002";
const cooked = "0000 0001 0006 020000000001 0000";
const cooked2 = "0000 00000002 0001 00 06 0200000000010000";

/** AF_INET6 of Linux, FreeBSD and macOS in front of DLT_NULL packets, which is in the byte order of the machine. */
const families = { linux: "0a000000", freebsd: "1c000000", darwin: "1e000000" };

export const layers: readonly Layer[] = [
  ...Object.entries(families).map(([system, ipv6]) => ({
    name: `NULL of ${system}`,
    linkType: dlt.null,
    ipv4: "02000000",
    ipv6,
  })),
  { name: "LOOP", linkType: dlt.loop, ipv4: "00000002", ipv6: "0000000a" },
  { name: "Ethernet", linkType: dlt.ethernet, ipv4: `${macs}0800`, ipv6: `${macs}86dd` },
  { name: "Ethernet, 802.1Q", linkType: dlt.ethernet, ipv4: `${macs}810000640800`, ipv6: `${macs}8100006486dd` },
  {
    name: "Ethernet, 802.1ad",
    linkType: dlt.ethernet,
    ipv4: `${macs}88a80064810000c80800`,
    ipv6: `${macs}88a80064810000c886dd`,
  },
  {
    name: "Ethernet, 802.1Q twice",
    linkType: dlt.ethernet,
    ipv4: `${macs}81000064810000c80800`,
    ipv6: `${macs}81000064810000c886dd`,
  },
  { name: "PPP", linkType: dlt.ppp, ipv4: "ff030021", ipv6: "ff030057" },
  { name: "PPP_SERIAL", linkType: dlt.pppSerial, ipv4: "ff030021", ipv6: "ff030057" },
  { name: "PPP_ETHER", linkType: dlt.pppOverEthernet, ipv4: "1100000100000021", ipv6: "1100000100000057" },
  { name: "RAW", linkType: dlt.raw, ipv4: "", ipv6: "" },
  { name: "RAW of OpenBSD", linkType: dlt.rawOfOpenBsd, ipv4: "", ipv6: "" },
  { name: "RAW of files", linkType: dlt.rawOfFiles, ipv4: "", ipv6: "" },
  { name: "LINUX_SLL", linkType: dlt.linuxCooked, ipv4: `${cooked}0800`, ipv6: `${cooked}86dd` },
  { name: "LINUX_SLL2", linkType: dlt.linuxCooked2, ipv4: `0800${cooked2}`, ipv6: `86dd${cooked2}` },
];

/** `packet` in a frame of `layer`. */
export function frameOf(layer: Layer, packet: Uint8Array): Uint8Array {
  const isIpv4 = packet[0]! >> 4 === 4;
  return new Uint8Array(Buffer.concat([fromHex((isIpv4 ? layer.ipv4 : layer.ipv6).replaceAll(" ", "")), packet]));
}
