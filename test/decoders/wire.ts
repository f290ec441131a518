/** Decoders of what networks, kernels and WireGuard send. */

import { parseRouteGet } from "../../src/platform/bsd/default-route.ts";
import {
  decodeEchoReply,
  decodeEchoReplyOverIpv4,
  decodeUdpOverIp,
  decodeUdpOverIpv4,
} from "../../src/platform/frame.ts";
import { parseDefaultRoute } from "../../src/platform/linux/default-route.ts";
import { decodeNetlink } from "../../src/platform/linux/netlink-message.ts";
import { createNetworkState } from "../../src/platform/linux/network-state.ts";
import { decodeFrame, dlt } from "../../src/platform/pcap/link-frame.ts";
import { decodeMessage } from "../../src/stun/message.ts";
import { describeDeviceChange } from "../../src/wg/changes.ts";
import { decodeDump } from "../../src/wg/tool-decode.ts";
import { toolError } from "../../src/wg/tool-failure.ts";
import { decodeReply } from "../../src/wg/uapi-decode.ts";
import {
  encodeAddress,
  encodeAttribute,
  encodeErrorCode,
  encodeMessage,
  encodeXorAddress,
} from "../fakes/stun-message.ts";
import { readNetlinkSteps } from "../platform/linux/netlink-fixtures.ts";
import { fromHex, readPacketFixtures } from "../platform/packets.ts";
import { type Decoder, fill, many, run } from "./decoder.ts";

const transactionId = new Uint8Array(12).fill(7);

function stunMessage(attributes: readonly Uint8Array[], type = 0x0101): Buffer {
  return Buffer.from(encodeMessage({ type, transactionId, attributes: [...attributes] }));
}

const endpoint = { host: "192.0.2.1", port: 32853 };

/** 64 KiB is more than the length of a message can say. */
const stunBytes = (bytes: number) => Math.min(bytes, 65_000) & ~3;

export const stun: Decoder = {
  name: "STUN message",
  samples: [
    stunMessage([encodeXorAddress(endpoint, transactionId), encodeAttribute(0x8022, Buffer.from("coturn"))]),
    stunMessage([encodeXorAddress({ host: "2001:db8::1", port: 1 }, transactionId), encodeAddress(0x802c, endpoint)]),
    stunMessage([encodeErrorCode(420, "Unknown Attribute")], 0x0111),
  ],
  worst: {
    "empty attributes": (bytes) =>
      stunMessage(
        Array.from({ length: stunBytes(bytes) / 4 }, (_, type) => encodeAttribute(type & 0x7fff, Buffer.alloc(0))),
      ),
    "a text of blanks": (bytes) => stunMessage([encodeAttribute(0x8022, Buffer.from(fill(" ", stunBytes(bytes))))]),
    "a text of blanks and letters": (bytes) =>
      stunMessage([encodeAttribute(0x8022, Buffer.from(fill(" a", stunBytes(bytes))))]),
  },
  decode: decodeMessage,
};

const key = "JQCVPz/jgQxPNNImZYuBDMJVnUJKtOWZ3ZCphwGQewg=";
const hexKey = Buffer.from(key, "base64").toString("hex");

function keyAt(index: number): Buffer {
  const bytes = Buffer.alloc(32, 7);
  bytes.writeUInt32BE(index);
  return bytes;
}

const dumpHead = `${key}\t${key}\t51820\t0xca6c\n`;
const dumpPeer = (index: number) =>
  `${keyAt(index).toString("base64")}\t(none)\t203.0.113.10:51820\t10.0.0.2/32,fd00:99::/64\t1700000000\t1\t2\t25\n`;

export const wgDump: Decoder = {
  name: "wg show dump",
  samples: [Buffer.from(dumpHead + dumpPeer(1) + dumpPeer(2)), Buffer.from("(none)\t(none)\t0\toff\n")],
  worst: {
    peers: (bytes) => Buffer.from(dumpHead + many(dumpPeer, bytes)),
    tabs: run("\t", { end: "\n" }),
    "empty lines": run("\n", { head: dumpHead }),
    "allowed IPs": (bytes) =>
      Buffer.from(`${dumpHead}${key}\t(none)\t(none)\t${many(() => "10.0.0.2/32,", bytes)}10.0.0.1/32\t0\t0\t0\toff\n`),
    "colons for an endpoint": (bytes) =>
      Buffer.from(`${dumpHead}${key}\t(none)\t[${fill(":", bytes)}]:1\t(none)\t0\t0\t0\toff\n`),
  },
  decode: (input) => decodeDump(Buffer.from(input), "wg0"),
};

const uapiHead = `private_key=${hexKey}\nlisten_port=51820\nfwmark=1\n`;
const uapiPeer = (index: number) =>
  `public_key=${keyAt(index).toString("hex")}\nendpoint=203.0.113.10:51820\nlast_handshake_time_sec=1700000000\nrx_bytes=1\nallowed_ip=10.0.0.2/32\n`;

export const uapi: Decoder = {
  name: "WireGuard's userspace protocol",
  samples: [Buffer.from(`${uapiHead}${uapiPeer(1)}${uapiPeer(2)}errno=0\n\n`), Buffer.from("errno=-2\n\n")],
  worst: {
    peers: (bytes) => Buffer.from(`${uapiHead}${many(uapiPeer, bytes)}errno=0\n\n`),
    "allowed IPs": (bytes) =>
      Buffer.from(`${uapiHead}public_key=${hexKey}\n${many(() => "allowed_ip=10.0.0.2/32\n", bytes)}errno=0\n\n`),
    "lines without a value": (bytes) => Buffer.from(`${many(() => "a=\n", bytes)}errno=0\n\n`),
    "lines without an equals sign": (bytes) => Buffer.from(`a=1\n${fill("a\n", bytes)}errno=0\n\n`),
  },
  decode: (input) => decodeReply(Buffer.from(input), "wg0"),
};

/** Every 32 bytes are the key of a peer; the second half is the device a look later. */
export const deviceChanges: Decoder = {
  name: "changes of a device",
  samples: [Buffer.concat([keyAt(1), keyAt(2), keyAt(2), keyAt(3)])],
  worst: {
    "other peers": (bytes) => Buffer.concat(Array.from({ length: bytes / 32 }, (_, index) => keyAt(index))),
  },
  decode(input) {
    const peers = Array.from({ length: Math.floor(input.length / 32) }, (_, index) => ({
      publicKey: Uint8Array.from(input.subarray(index * 32, index * 32 + 32)),
      receivedBytes: 0,
      sentBytes: 0,
      allowedIps: [],
      persistentKeepalive: 0,
    }));
    const half = Math.ceil(peers.length / 2);
    const device = { name: "wg0", listenPort: 1, firewallMark: 0, privateKey: keyAt(0), publicKey: keyAt(0) };
    const before = { ...device, peers: peers.slice(0, half) };
    return describeDeviceChange(before, { ...device, peers: peers.slice(half) });
  },
};

export const wgErrors: Decoder = {
  name: "words of wg(8)",
  samples: [
    Buffer.from("Unable to access interface: No such device\n"),
    Buffer.from(`Key is not the correct length: \`${key}'`),
  ],
  worst: {
    "one word": run("a", { end: "-" }),
    "half a sentence": run("Unable to "),
    blanks: run(" "),
    keys: run(`${key} `),
  },
  decode: (input) =>
    toolError({ exitCode: 1, stderr: input.toString("utf8") }, { name: "wg0", verb: "read", publicKeys: [key] }),
};

const netlinkSamples = readNetlinkSteps().flatMap(({ datagrams }) => datagrams.map((one) => Buffer.from(one)));

/** A message of 16 bytes and `body`; `length` may lie. */
function netlinkMessage(type: number, body: Buffer, length = 16 + body.length): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(length);
  header.writeUInt16LE(type, 4);
  return Buffer.concat([header, body]);
}

export const netlink: Decoder = {
  name: "netlink",
  samples: netlinkSamples,
  worst: {
    "empty messages": (bytes) =>
      Buffer.concat(Array.from({ length: bytes / 16 }, () => netlinkMessage(0, Buffer.alloc(0)))),
    routes: (bytes) =>
      Buffer.concat(
        Array.from({ length: bytes / 36 }, (_, index) => {
          const body = Buffer.alloc(20);
          body.writeUInt16LE(8, 12);
          body.writeUInt16LE(1, 14);
          body.writeUInt32LE(index, 16);
          return netlinkMessage(24, body);
        }),
      ),
    links: (bytes) =>
      Buffer.concat(
        Array.from({ length: bytes / 32 }, (_, index) => {
          const body = Buffer.alloc(16);
          body.writeUInt32LE(index, 4);
          return netlinkMessage(16, body);
        }),
      ),
    "attributes of one route": (bytes) => {
      const attributes = Buffer.alloc(bytes & ~3);
      for (let at = 0; at < attributes.length; at += 4) {
        attributes.writeUInt16LE(4, at);
        attributes.writeUInt16LE((at / 4) & 0x3fff, at + 2);
      }
      return netlinkMessage(24, Buffer.concat([Buffer.alloc(12), attributes]));
    },
    "ways of one route": (bytes) => {
      const hops = Buffer.alloc(Math.min(bytes, 65_000) & ~7);
      for (let at = 0; at < hops.length; at += 8) hops.writeUInt16LE(8, at);
      const head = Buffer.alloc(4);
      head.writeUInt16LE(4 + hops.length);
      head.writeUInt16LE(9, 2);
      return netlinkMessage(24, Buffer.concat([Buffer.alloc(12), head, hops]));
    },
  },
  decode(input) {
    const state = createNetworkState((name) => name === "wg0");
    const { messages } = decodeNetlink(input);
    state.reset(messages);
    return messages.map((message) => state.apply(message));
  },
};

const packets = readPacketFixtures();
const linkTypes = Object.values(dlt);

export const frames: Decoder = {
  name: "UDP and ICMP frames",
  samples: [
    ...[packets.linux_ipv4, packets.linux_ipv6].flatMap((raw) => Object.values(raw)),
    packets.icmp.echo_request_hex,
  ].map((hex) => Buffer.from(fromHex(hex))),
  worst: {
    "extension headers": (bytes) => {
      // IPv6 whose payload is nothing but destination options of 8 bytes each.
      const packet = Buffer.alloc(40 + (bytes & ~7), 0);
      packet[0] = 0x60;
      packet.writeUInt16BE(Math.min(packet.length - 40, 0xffff), 4);
      packet[6] = 60;
      for (let at = 40; at < packet.length; at += 8) packet[at] = 60;
      return packet;
    },
    zeros: (bytes) => Buffer.alloc(bytes),
    "VLAN tags": run("\x81\x00\x00\x01", { head: "\x00".repeat(12) }),
  },
  decode(input) {
    return [
      decodeUdpOverIpv4(input),
      decodeUdpOverIp(input),
      decodeEchoReplyOverIpv4(input),
      decodeEchoReply(input),
      ...linkTypes.map((type) => decodeFrame(input, type)),
    ];
  },
};

export const defaultRoutes: Decoder = {
  name: "default route",
  samples: [
    Buffer.from(
      "   route to: default\ndestination: default\n  interface: em0\n      flags: <UP,GATEWAY,DONE,STATIC>\n",
    ),
    Buffer.from(
      "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\neth0\t00000000\t0100A8C0\t0003\t0\t0\t100\t00000000\n",
    ),
  ],
  worst: {
    "line ends": run("\n"),
    blanks: run(" "),
    "an interface of blanks": run(" ", { head: "interface: " }),
    "flags without an end": run("a,", { head: "flags: <" }),
    fields: run("a\t"),
  },
  decode(input) {
    const text = input.toString("utf8");
    parseDefaultRoute(text, { family: "ipv4", ignore: "wg0" });
    parseDefaultRoute(text, { family: "ipv6", ignore: "wg0" });
    return parseRouteGet({ status: 0, stdout: text, stderr: text });
  },
  // Its text is put into an error of the program by the caller.
  isDeclared: (error) => error instanceof Error && error.message.startsWith("/sbin/route ended"),
};
