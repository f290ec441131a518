import assert from "node:assert/strict";
import { test } from "node:test";
import {
  decodeEchoReply,
  decodeEchoReplyOverIpv4,
  decodeUdp,
  decodeUdpOverIpv4,
  encodeEchoRequest,
  encodeUdp,
} from "../../src/platform/frame.ts";
import { createRandom, fromHex, ipv4Packet, readPacketFixtures } from "./packets.ts";

const fixtures = readPacketFixtures();
const text = new TextEncoder();
const source = Uint8Array.of(192, 0, 2, 1);
const destination = Uint8Array.of(198, 51, 100, 2);
const ports = { sourcePort: 51820, destinationPort: 3478 };
const sourceV6 = fromHex("20010db8000000000000000000000007");

/** Ones' complement sum over pseudo-header and datagram, which is 0xffff when the checksum is right (RFC 768). */
function sumWithPseudoHeader(datagram: Uint8Array, addresses: readonly Uint8Array[]): number {
  const pseudo = Uint8Array.of(0, 17, datagram.length >> 8, datagram.length & 0xff);
  const padding = new Uint8Array(datagram.length % 2);
  const all = Buffer.concat([...addresses, pseudo, datagram, padding]);
  let sum = 0;
  for (let index = 0; index < all.length; index += 2) sum += all.readUInt16BE(index);
  return (sum % 0xffff) + (sum > 0 && sum % 0xffff === 0 ? 0xffff : 0);
}

test("encodeUdp writes the header and a checksum that adds up", () => {
  const random = createRandom(2);
  for (let length = 0; length < 200; length++) {
    const payload = Uint8Array.from({ length }, () => random(256));
    const datagram = encodeUdp(payload, { ...ports, addresses: { source, destination } });
    assert.equal(
      Buffer.from(datagram).subarray(0, 6).toString("hex"),
      `ca6c0d96${(length + 8).toString(16).padStart(4, "0")}`,
    );
    assert.equal(sumWithPseudoHeader(datagram, [source, destination]), 0xffff);
    assert.deepEqual(datagram.subarray(8), payload);
  }
});

test("encodeUdp writes a checksum of zero as ffff and none as 0", () => {
  // The word that brings the sum to ffff, so that the checksum would be 0.
  const plain = encodeUdp(Uint8Array.of(0, 0), { ...ports, addresses: { source, destination } });
  const word = plain.subarray(6, 8);
  const datagram = encodeUdp(word, { ...ports, addresses: { source, destination } });
  assert.deepEqual(datagram.subarray(6, 8), Uint8Array.of(0xff, 0xff));
  assert.deepEqual(encodeUdp(word, ports).subarray(6, 8), Uint8Array.of(0, 0));
});

test("encodeUdp covers IPv6 addresses too", () => {
  const to = fromHex("20010db8000000000000000000000009");
  const datagram = encodeUdp(text.encode("abc"), { ...ports, addresses: { source: sourceV6, destination: to } });
  assert.equal(sumWithPseudoHeader(datagram, [sourceV6, to]), 0xffff);
});

test("decodeUdpOverIpv4 takes a datagram out of its packet, whatever the checksum", () => {
  const payload = text.encode("hello");
  const datagram = encodeUdp(payload, { sourcePort: 3478, destinationPort: 51820 });
  datagram.set([0xba, 0xad], 6);
  for (const optionBytes of [0, 4, 40]) {
    const packet = ipv4Packet(datagram, { protocol: 17, optionBytes, fragment: 0x4000 });
    const decoded = decodeUdpOverIpv4(packet);
    assert.deepEqual(decoded, { from: { family: "ipv4", host: "203.0.113.9", port: 3478 }, toPort: 51820, payload });
    packet.fill(0);
    assert.deepEqual(decoded.payload, payload, "the payload is a copy");
  }
});

test("decodeUdpOverIpv4 reads the lengths of the headers, not that of the buffer", () => {
  const datagram = encodeUdp(text.encode("hello"), { sourcePort: 3478, destinationPort: 51820 });
  const packet = ipv4Packet(datagram, { protocol: 17 });
  const padded = Buffer.concat([packet, Buffer.alloc(10, 0xff)]);
  assert.deepEqual(decodeUdpOverIpv4(padded)?.payload, text.encode("hello"));
  datagram.set([0, 10], 4);
  assert.deepEqual(decodeUdpOverIpv4(ipv4Packet(datagram, { protocol: 17 }))?.payload, text.encode("he"));
});

test("decodeUdpOverIpv4 refuses what is not a whole UDP datagram over IPv4", () => {
  const datagram = encodeUdp(text.encode("hello"), { sourcePort: 3478, destinationPort: 51820 });
  const good = ipv4Packet(datagram, { protocol: 17 });
  const change = (offset: number, ...bytes: number[]) => {
    const packet = Uint8Array.from(good);
    packet.set(bytes, offset);
    return packet;
  };
  const bad: Record<string, Uint8Array> = {
    empty: new Uint8Array(0),
    "version 6": change(0, 0x65),
    "header of 16 bytes": change(0, 0x44),
    "header beyond the packet": change(0, 0x4f),
    "total length beyond the packet": change(2, 0, good.length + 1),
    "total length inside the header": change(2, 0, 19),
    "total length inside the UDP header": change(2, 0, 27),
    "first fragment": change(6, 0x20, 0),
    "later fragment": change(6, 0, 1),
    TCP: change(9, 6),
    "source port 0": change(20, 0, 0),
    "UDP length below 8": change(24, 0, 7),
    "UDP length 0": change(24, 0, 0),
    "UDP length beyond the packet": change(24, 0, 14),
  };
  assert.ok(decodeUdpOverIpv4(good));
  for (const [name, packet] of Object.entries(bad)) assert.equal(decodeUdpOverIpv4(packet), undefined, name);
  for (let length = 0; length < good.length; length++) {
    assert.equal(decodeUdpOverIpv4(good.subarray(0, length)), undefined, `cut to ${length} bytes`);
  }
});

test("decodeUdp takes a datagram from an IPv6 address", () => {
  const datagram = encodeUdp(text.encode("hello"), { sourcePort: 3478, destinationPort: 51820 });
  const from = { family: "ipv6", host: "2001:db8::7", port: 3478 };
  assert.deepEqual(decodeUdp(datagram, sourceV6), { from, toPort: 51820, payload: text.encode("hello") });
  assert.equal(decodeUdp(datagram, sourceV6.subarray(1)), undefined);
  assert.equal(decodeUdp(datagram.subarray(0, 7), sourceV6), undefined);
  assert.equal(decodeUdp(datagram.subarray(0, 12), sourceV6), undefined);
});

test("decoders accept the recorded packets", () => {
  // The recorded packet says 40 bytes of UDP: 8 of header and a Binding response of 32.
  assert.equal(decodeUdp(fromHex(fixtures.linux_ipv6.accept_hex), sourceV6)?.payload.length, 32);
  // Its source address is 0.0.0.0, which is text like any other here: who may send is not this module's business.
  assert.equal(decodeUdpOverIpv4(fromHex(fixtures.linux_ipv4.accept_hex))?.from.host, "0.0.0.0");
});

test("encodeEchoRequest writes the recorded request", () => {
  const { id, seq, data, echo_request_hex } = fixtures.icmp;
  const message = encodeEchoRequest({ identifier: id, sequence: seq, data: text.encode(data) }, "ipv4");
  assert.equal(Buffer.from(message).toString("hex"), echo_request_hex);
  const v6 = encodeEchoRequest({ identifier: id, sequence: seq, data: text.encode(data) }, "ipv6");
  assert.deepEqual(v6.subarray(0, 4), Uint8Array.of(128, 0, 0, 0));
  assert.deepEqual(v6.subarray(4), message.subarray(4));
});

test("decodeEchoReplyOverIpv4 accepts a reply with a right checksum only", () => {
  const reply = fromHex(fixtures.icmp.echo_request_hex);
  reply[0] = 0;
  // The request's checksum 001e3b covers type 8: without it the sum is 0x0800 less.
  const checksum = 0x1e3b + 0x0800;
  reply.set([checksum >> 8, checksum & 0xff], 2);
  const packet = ipv4Packet(reply, { protocol: 1, optionBytes: 8 });
  const echo = decodeEchoReplyOverIpv4(packet);
  assert.deepEqual(echo, {
    identifier: 0x1234,
    sequence: 1,
    data: text.encode("stunmesh-ping"),
    source: Uint8Array.of(203, 0, 113, 9),
  });
  for (let index = 28; index < packet.length; index++) {
    const damaged = Uint8Array.from(packet);
    damaged[index] = damaged[index]! ^ 0x10;
    assert.equal(decodeEchoReplyOverIpv4(damaged), undefined, `byte ${index}`);
  }
  assert.equal(decodeEchoReplyOverIpv4(ipv4Packet(reply, { protocol: 17 })), undefined);
  assert.equal(
    decodeEchoReplyOverIpv4(ipv4Packet(fromHex(fixtures.icmp.echo_request_hex), { protocol: 1 })),
    undefined,
  );
});

test("decodeEchoReply accepts ICMPv6 echo replies only", () => {
  const reply = Uint8Array.of(129, 0, 0xab, 0xcd, 0x12, 0x34, 0, 9, 5);
  assert.deepEqual(decodeEchoReply(reply), { identifier: 0x1234, sequence: 9, data: Uint8Array.of(5) });
  assert.equal(decodeEchoReply(Uint8Array.of(128, ...reply.subarray(1))), undefined);
  assert.equal(decodeEchoReply(Uint8Array.of(129, 1, ...reply.subarray(2))), undefined);
  assert.equal(decodeEchoReply(reply.subarray(0, 7)), undefined);
});

test("decoders survive 100,000 random and damaged inputs", () => {
  const random = createRandom(3);
  const datagram = encodeUdp(text.encode("payload!"), { sourcePort: 3478, destinationPort: 51820 });
  const seeds = [
    ipv4Packet(datagram, { protocol: 17, optionBytes: 4 }),
    datagram,
    ipv4Packet(Uint8Array.of(0, 0, 0xff, 0xff, 0, 0, 0, 0), { protocol: 1 }),
    Uint8Array.of(129, 0, 0, 0, 1, 2, 3, 4, 5),
  ];
  let accepted = 0;
  for (let round = 0; round < 100_000; round++) {
    const input =
      round % 2 === 0
        ? Uint8Array.from({ length: random(64) }, () => random(256))
        : Uint8Array.from(seeds[random(seeds.length)]!);
    for (let changes = random(4); changes > 0 && input.length > 0; changes--) input[random(input.length)] = random(256);
    const packet = input.subarray(0, random(8) === 0 ? random(input.length + 1) : input.length);
    const overIpv4 = decodeUdpOverIpv4(packet);
    const alone = decodeUdp(packet, sourceV6.subarray(0, random(2) === 0 ? 16 : random(20)));
    const echoes = [decodeEchoReplyOverIpv4(packet), decodeEchoReply(packet)];
    for (const { payload, from, toPort } of [overIpv4, alone].filter((datagram) => datagram !== undefined)) {
      accepted++;
      assert.ok(payload.length <= packet.length - 8 && from.port >= 1 && toPort <= 0xffff);
    }
    for (const echo of echoes.filter((echo) => echo !== undefined)) {
      accepted++;
      assert.ok(echo.data.length <= packet.length - 8 && echo.identifier <= 0xffff && echo.sequence <= 0xffff);
    }
  }
  assert.ok(accepted > 1000, `${accepted} were accepted`);
});
