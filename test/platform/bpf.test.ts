import assert from "node:assert/strict";
import { test } from "node:test";
import {
  type BpfProgram,
  dropAll,
  echoReplyAlone,
  echoReplyOverIpv4,
  encodeBpf,
  udpAlone,
  udpOverIpv4,
} from "../../src/platform/bpf.ts";
import { encodeUdp } from "../../src/platform/frame.ts";
import { runBpf } from "../fakes/bpf-machine.ts";
import { createRandom, fromHex, ipv4Packet, readPacketFixtures } from "./packets.ts";

const fixtures = readPacketFixtures();
const match = { port: fixtures.port, offset: 4, value: 0x2112a442 };
const payload = Uint8Array.of(1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 9);
const otherWord = Uint8Array.of(1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x43, 9);
const datagram = encodeUdp(payload, { sourcePort: 3478, destinationPort: 51820 });
const wrongPort = encodeUdp(payload, { sourcePort: 51820, destinationPort: 51821 });
const wrongWord = encodeUdp(otherWord, { sourcePort: 3478, destinationPort: 51820 });
const MORE_FRAGMENTS = 0x2000;
const DO_NOT_FRAGMENT = 0x4000;

function keeps(program: BpfProgram, packet: Uint8Array): boolean {
  const kept = runBpf(program, packet);
  assert.ok(kept === 0 || kept === packet.length, "a packet is kept whole or not at all");
  return kept > 0;
}

test("dropAll drops everything", () => {
  assert.equal(keeps(dropAll, datagram), false);
  assert.equal(keeps(dropAll, fromHex(fixtures.linux_ipv4.accept_hex)), false);
});

test("udpOverIpv4 and udpAlone decide the recorded packets as they were recorded", () => {
  for (const [program, packets] of [
    [udpOverIpv4(match), fixtures.linux_ipv4],
    [udpAlone(match), fixtures.linux_ipv6],
  ] as const) {
    assert.equal(keeps(program, fromHex(packets.accept_hex)), true);
    assert.equal(keeps(program, fromHex(packets.reject_wrong_port_hex)), false);
    assert.equal(keeps(program, fromHex(packets.reject_wrong_cookie_hex)), false);
  }
});

test("udpOverIpv4 honours the length of the IP header", () => {
  const program = udpOverIpv4(match);
  for (const optionBytes of [0, 4, 8, 20, 40]) {
    assert.equal(keeps(program, ipv4Packet(datagram, { protocol: 17, optionBytes })), true, `${optionBytes} bytes`);
    assert.equal(keeps(program, ipv4Packet(wrongPort, { protocol: 17, optionBytes })), false);
    assert.equal(keeps(program, ipv4Packet(wrongWord, { protocol: 17, optionBytes })), false);
  }
});

test("udpOverIpv4 drops other protocols and later fragments", () => {
  const program = udpOverIpv4(match);
  for (const protocol of [0, 1, 6, 16, 18, 136, 255]) {
    assert.equal(keeps(program, ipv4Packet(datagram, { protocol })), false);
  }
  for (const fragment of [1, 0x1fff, MORE_FRAGMENTS | 1, 0x1000]) {
    assert.equal(keeps(program, ipv4Packet(datagram, { protocol: 17, fragment })), false);
  }
  assert.equal(keeps(program, ipv4Packet(datagram, { protocol: 17, fragment: DO_NOT_FRAGMENT })), true);
});

test("udpOverIpv4 and udpAlone drop a packet that ends before the word", () => {
  const whole = ipv4Packet(datagram, { protocol: 17, optionBytes: 4 });
  for (let length = 0; length < whole.length; length++) {
    assert.equal(keeps(udpOverIpv4(match), whole.subarray(0, length)), length >= 24 + 8 + 8, `${length} bytes`);
  }
  for (let length = 0; length < datagram.length; length++) {
    assert.equal(keeps(udpAlone(match), datagram.subarray(0, length)), length >= 16, `${length} bytes`);
  }
});

test("udpAlone drops the wrong port and the wrong word", () => {
  assert.equal(keeps(udpAlone(match), datagram), true);
  assert.equal(keeps(udpAlone(match), wrongPort), false);
  assert.equal(keeps(udpAlone(match), wrongWord), false);
});

test("udpOverIpv4 compares words above 2^31 as unsigned, given either way", () => {
  const high = encodeUdp(Uint8Array.of(0xff, 0xee, 0xdd, 0xcc), { sourcePort: 1, destinationPort: 65535 });
  const packet = ipv4Packet(high, { protocol: 17 });
  for (const value of [0xffeeddcc, 0xffeeddcc | 0]) {
    assert.equal(keeps(udpOverIpv4({ port: 65535, offset: 0, value }), packet), true);
    assert.equal(keeps(udpAlone({ port: 65535, offset: 0, value }), high), true);
  }
});

test("echoReplyOverIpv4 keeps echo replies of its identifier only", () => {
  const program = echoReplyOverIpv4(0xbeef);
  const message = (type: number, identifier: number) => Uint8Array.of(type, 0, 0, 0, identifier >> 8, identifier, 0, 7);
  for (const optionBytes of [0, 12]) {
    assert.equal(keeps(program, ipv4Packet(message(0, 0xbeef), { protocol: 1, optionBytes })), true);
    assert.equal(keeps(program, ipv4Packet(message(8, 0xbeef), { protocol: 1, optionBytes })), false);
    assert.equal(keeps(program, ipv4Packet(message(0, 0xbeee), { protocol: 1, optionBytes })), false);
    assert.equal(keeps(program, ipv4Packet(message(0, 0xbeef).subarray(0, 5), { protocol: 1, optionBytes })), false);
  }
});

test("echoReplyAlone keeps ICMPv6 echo replies of its identifier only", () => {
  const program = echoReplyAlone(0x0102);
  assert.equal(keeps(program, Uint8Array.of(129, 0, 0, 0, 1, 2, 0, 0)), true);
  assert.equal(keeps(program, Uint8Array.of(128, 0, 0, 0, 1, 2, 0, 0)), false);
  assert.equal(keeps(program, Uint8Array.of(129, 0, 0, 0, 1, 3, 0, 0)), false);
  assert.equal(keeps(program, Uint8Array.of(129, 0, 0, 0, 1)), false);
});

test("programs never fail on random bytes", () => {
  const random = createRandom(1);
  const programs = [udpOverIpv4(match), udpAlone(match), echoReplyOverIpv4(1), echoReplyAlone(1)];
  let kept = 0;
  for (let round = 0; round < 20_000; round++) {
    const packet = Uint8Array.from({ length: random(80) }, () => random(256));
    for (const program of programs) kept += keeps(program, packet) ? 1 : 0;
  }
  assert.equal(kept, 0);
});

test("encodeBpf writes struct sock_filter in either byte order", () => {
  const program = [{ code: 0x15, jt: 1, jf: 2, k: 0x2112a442 }];
  assert.deepEqual(encodeBpf(program, "LE"), Uint8Array.of(0x15, 0, 1, 2, 0x42, 0xa4, 0x12, 0x21));
  assert.deepEqual(encodeBpf(program, "BE"), Uint8Array.of(0, 0x15, 1, 2, 0x21, 0x12, 0xa4, 0x42));
  assert.equal(encodeBpf(udpOverIpv4(match)).length, udpOverIpv4(match).length * 8);
});
