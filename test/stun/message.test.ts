import assert from "node:assert/strict";
import { test } from "node:test";
import stun from "stun";
import { formatIp, formatTransportAddress } from "../../src/address.ts";
import { StunmeshError } from "../../src/errors.ts";
import { decodeMessage, encodeBindingRequest, type StunMessage, stunMatch } from "../../src/stun/message.ts";
import { createFakeRandom } from "../fakes/random.ts";
import { encodeAddress, encodeAttribute, encodeMessage, encodeXorAddress } from "../fakes/stun-message.ts";
import { coturnAnswer, malformedMessages, request, transactionId } from "../fixtures/stun/responses.ts";
import { rfc5769 } from "../fixtures/stun/rfc5769.ts";

const decodeHex = (hex: string) => decodeMessage(Buffer.from(hex, "hex"));
const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
const mappedOf = ({ mapped }: StunMessage) => mapped && formatTransportAddress(mapped);

test("encodeBindingRequest writes 20 bytes without attributes", () => {
  assert.equal(hexOf(encodeBindingRequest(Buffer.from(transactionId, "hex"))), request);
});

test("encodeBindingRequest refuses a transaction ID of the wrong length", () => {
  assert.throws(() => encodeBindingRequest(new Uint8Array(16)), RangeError);
});

test("stunMatch finds the magic cookie of our own request", () => {
  const bytes = Buffer.from(encodeBindingRequest(new Uint8Array(12)));
  assert.equal(bytes.readUInt32BE(stunMatch.offset), stunMatch.value);
});

test("decodeMessage reads the RFC 5769 request and names its ICE attribute as unknown", () => {
  const message = decodeHex(rfc5769.request);
  assert.equal(message.messageClass, "request");
  assert.equal(message.method, 1);
  assert.equal(hexOf(message.transactionId), rfc5769.transactionId);
  assert.equal(message.software, "STUN test client");
  assert.deepEqual(message.unknownRequired, [0x0024]);
});

test("decodeMessage reads the RFC 5769 response of IPv4", () => {
  const message = decodeHex(rfc5769.responseIpv4);
  assert.equal(message.messageClass, "success");
  assert.equal(message.software, "test vector");
  assert.equal(mappedOf(message), "192.0.2.1:32853");
  assert.deepEqual(message.unknownRequired, []);
});

test("decodeMessage reads the RFC 5769 response of IPv6", () => {
  const message = decodeHex(rfc5769.responseIpv6);
  assert.equal(mappedOf(message), "[2001:db8:1234:5678:11:2233:4455:6677]:32853");
});

test("decodeMessage reads the RFC 5769 request with long-term credentials", () => {
  const message = decodeHex(rfc5769.longTermRequest);
  assert.equal(message.messageClass, "request");
  assert.deepEqual(message.unknownRequired, []);
});

test("decodeMessage refuses an RFC 5769 message with any one bit of its content changed", () => {
  for (const hex of [rfc5769.request, rfc5769.responseIpv4, rfc5769.responseIpv6]) {
    const good = Buffer.from(hex, "hex");
    // Not the lengths: one of them may hide FINGERPRINT, and a message without one is as good as any.
    const places = [0, 1, ...Array.from({ length: 16 }, (_, index) => 4 + index), ...valueOffsets(good)];
    for (const place of places) {
      for (let bit = 0; bit < 8; bit++) {
        const bad = Buffer.from(good);
        bad[place] = (bad[place] ?? 0) ^ (1 << bit);
        assert.throws(() => decodeMessage(bad), StunmeshError, `bit ${bit} of byte ${place}`);
      }
    }
  }
});

/** Where the values and the padding of all attributes are. */
function valueOffsets(message: Buffer): readonly number[] {
  const offsets: number[] = [];
  for (let at = 20; at < message.length; ) {
    const padded = Math.ceil(message.readUInt16BE(at + 2) / 4) * 4;
    for (let index = 0; index < padded; index++) offsets.push(at + 4 + index);
    at += 4 + padded;
  }
  return offsets;
}

test("decodeMessage refuses every truncation of a message", () => {
  const good = Buffer.from(rfc5769.responseIpv6, "hex");
  for (let length = 0; length < good.length; length++) {
    assert.throws(() => decodeMessage(good.subarray(0, length)), StunmeshError);
  }
});

test("decodeMessage names the place of what is malformed", () => {
  for (const { hex, where } of malformedMessages) {
    assert.throws(() => decodeHex(hex), { name: "StunmeshError", message: where }, hex);
  }
});

test("decodeMessage reads a message in the middle of a larger buffer", () => {
  const bytes = Buffer.from(`ffffff${rfc5769.responseIpv4}ffff`, "hex").subarray(3);
  assert.equal(mappedOf(decodeMessage(bytes)), "192.0.2.1:32853");
});

test("decodeMessage reads what coturn answers", () => {
  const { mapped, responseOrigin, otherAddress, software } = decodeHex(coturnAnswer);
  assert.deepEqual(mapped, { family: "ipv4", host: "127.0.0.1", port: 58855 });
  assert.deepEqual(responseOrigin, { family: "ipv4", host: "127.0.0.1", port: 34780 });
  assert.deepEqual(otherAddress, { family: "ipv4", host: "127.0.0.2", port: 34790 });
  assert.equal(software, "Coturn-4.6.1 'Gorst'");
});

test("decodeMessage reads OTHER-ADDRESS and RESPONSE-ORIGIN, and goes on without them when they are malformed", () => {
  const id = Buffer.from(transactionId, "hex");
  const mapped = encodeXorAddress({ host: "203.0.113.10", port: 51820 }, id);
  const other = encodeAddress(0x802c, { host: "198.51.100.2", port: 3479 });
  const origin = encodeAddress(0x802b, { host: "198.51.100.1", port: 3478 });
  const good = decodeMessage(encodeMessage({ type: 0x0101, transactionId: id, attributes: [mapped, other, origin] }));
  assert.deepEqual(good.otherAddress, { family: "ipv4", host: "198.51.100.2", port: 3479 });
  assert.deepEqual(good.responseOrigin, { family: "ipv4", host: "198.51.100.1", port: 3478 });
  const broken = encodeAttribute(0x802c, new Uint8Array(3));
  const bad = decodeMessage(encodeMessage({ type: 0x0101, transactionId: id, attributes: [broken, mapped] }));
  assert.equal(bad.otherAddress, undefined);
  assert.equal(mappedOf(bad), "203.0.113.10:51820");
});

test("decodeMessage keeps a mapped port of 0 and gives an IPv4-mapped IPv6 address as IPv4", () => {
  const id = Buffer.from(transactionId, "hex");
  const zero = encodeXorAddress({ host: "203.0.113.10", port: 0 }, id);
  assert.equal(decodeMessage(encodeMessage({ type: 0x0101, transactionId: id, attributes: [zero] })).mapped?.port, 0);
  const value = Buffer.from("00021f9000000000000000000000ffffcb00710a", "hex");
  const mapped = encodeAttribute(0x0001, value);
  assert.deepEqual(decodeMessage(encodeMessage({ type: 0x0101, transactionId: id, attributes: [mapped] })).mapped, {
    family: "ipv4",
    host: "203.0.113.10",
    port: 8080,
  });
});

test("decodeMessage agrees with the stun package on random responses that it encoded", () => {
  const random = createFakeRandom(8489);
  for (let round = 0; round < 2000; round++) {
    const id = Buffer.from(random.bytes(12));
    // Global unicast only: the package writes some special IPv6 addresses in a text of its own.
    const ip = random.integer(2) ? random.bytes(4) : Uint8Array.from([0x20, 1, ...random.bytes(14)]);
    const host = formatIp(ip);
    const port = 1 + random.integer(65535);
    const message = stun.createMessage(0x0101, id);
    const software = "s".repeat(random.integer(20));
    if (software) message.addSoftware(software);
    const isXor = random.integer(2) === 1;
    if (isXor) message.addXorAddress(host, port);
    else message.addAddress(host, port);
    if (random.integer(2)) message.addFingerprint();
    const decoded = decodeMessage(stun.encode(message));
    assert.deepEqual({ ...decoded.mapped }, { family: ip.length === 4 ? "ipv4" : "ipv6", host, port });
    assert.equal(hexOf(decoded.transactionId), hexOf(id));
    assert.equal(decoded.software, software || undefined);
  }
});

test("the stun package reads our request and agrees with our decoder on what a server sends", () => {
  const random = createFakeRandom(5389);
  for (let round = 0; round < 2000; round++) {
    const id = random.bytes(12);
    const ours = stun.decode(Buffer.from(encodeBindingRequest(id)));
    assert.equal(ours.type, 0x0001);
    assert.equal(hexOf(ours.transactionId), hexOf(id));
    const ip = random.integer(2) ? random.bytes(4) : Uint8Array.from([0x20, 1, ...random.bytes(14)]);
    const mapped = { host: formatIp(ip), port: 1 + random.integer(65535) };
    const attributes = [encodeXorAddress(mapped, id), encodeAddress(0x0001, mapped)];
    const bytes = encodeMessage({ type: 0x0101, transactionId: id, attributes, fingerprint: true });
    const theirs = stun.decode(bytes);
    const message = decodeMessage(bytes);
    assert.ok(stun.validateFingerprint(theirs));
    assert.equal(message.mapped?.port, theirs.getXorAddress()?.port);
    const theirHost = theirs.getXorAddress()?.address ?? "";
    assert.equal(
      message.mapped?.host,
      new URL(`http://[${theirHost}]`.replace(/\[([0-9.]+)\]/, "$1")).hostname.replace(/[[\]]/g, ""),
    );
  }
});

test("decodeMessage survives 50,000 random datagrams with a valid header", () => {
  const random = createFakeRandom(1);
  let decoded = 0;
  for (let round = 0; round < 50_000; round++) {
    const body = random.bytes(random.integer(16) * 4);
    // Small numbers in the attribute headers, so that the walk gets far.
    for (let index = 0; index < body.length; index += 4)
      if (random.integer(3)) body.set([0, random.integer(40), 0], index);
    const bytes = encodeMessage({ type: random.integer(0x4000), transactionId: random.bytes(12), attributes: [body] });
    try {
      decodeMessage(bytes);
      decoded += 1;
    } catch (error) {
      assert.ok(error instanceof StunmeshError, String(error));
    }
  }
  assert.ok(decoded > 1000, `${decoded} were decoded, so the walk was reached`);
});

/** As RFC 3489 has it: nothing between a value and the next attribute. */
function unpadded(type: number, value: Uint8Array): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value]);
}

test("decodeMessage reads servers of RFC 3489, which pad nothing, wherever their odd text is", () => {
  const transactionId = createFakeRandom(3).bytes(12);
  const mapped = { host: "203.0.113.7", port: 40112 };
  const address = encodeAddress(0x0001, mapped);
  const text = unpadded(0x8022, Buffer.from("Vovida.org 0.96"));
  for (const attributes of [
    [address, text],
    [text, address],
    [unpadded(0x8022, Buffer.from("x")), address, unpadded(0x8050, Buffer.from("yz")), text],
  ]) {
    const decoded = decodeMessage(encodeMessage({ type: 0x0101, transactionId, attributes }));
    assert.deepEqual({ ...decoded.mapped }, { family: "ipv4", ...mapped });
    assert.deepEqual(decoded.unknownRequired, []);
  }
});

test("decodeMessage refuses what can be walked neither with padding nor without", () => {
  const transactionId = createFakeRandom(3).bytes(12);
  const address = encodeAddress(0x0001, { host: "203.0.113.7", port: 40112 });
  for (const rest of [Buffer.alloc(1), Buffer.alloc(3), unpadded(0x8022, Buffer.alloc(9)).subarray(0, -1)]) {
    const message = encodeMessage({ type: 0x0101, transactionId, attributes: [address, rest] });
    assert.throws(() => decodeMessage(message), /Cannot decode the STUN message: .* at byte 32/);
  }
});
