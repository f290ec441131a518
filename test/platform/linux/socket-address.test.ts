import assert from "node:assert/strict";
import { endianness } from "node:os";
import { test } from "node:test";
import { parseIp } from "../../../src/address.ts";
import {
  encodePacketInfo,
  encodeSocketAddress,
  ipOfSocketAddress,
} from "../../../src/platform/linux/socket-address.ts";

const isLittleEndian = endianness() === "LE";

test("encodeSocketAddress and ipOfSocketAddress are inverse, with port 0", () => {
  for (const [text, length] of [
    ["198.51.100.7", 16],
    ["2001:db8::7", 28],
  ] as const) {
    const ip = parseIp(text)!;
    const address = encodeSocketAddress(ip);
    assert.equal(address.length, length);
    assert.deepEqual(address.subarray(2, 4), Uint8Array.of(0, 0));
    assert.deepEqual(ipOfSocketAddress(address), ip);
  }
});

test("encodePacketInfo lays the message out for words of 8 and 4 bytes", () => {
  const source = Uint8Array.of(192, 0, 2, 1);
  for (const [wordBytes, total] of [
    [8, 32],
    [4, 24],
  ] as const) {
    const control = encodePacketInfo(source, wordBytes);
    const view = new DataView(control.buffer);
    assert.equal(control.length, total);
    const length = wordBytes === 8 ? Number(view.getBigUint64(0, isLittleEndian)) : view.getUint32(0, isLittleEndian);
    assert.equal(length, wordBytes + 8 + 12);
    assert.equal(view.getInt32(wordBytes, isLittleEndian), 0);
    assert.equal(view.getInt32(wordBytes + 4, isLittleEndian), 8);
    assert.deepEqual(control.subarray(wordBytes + 12, wordBytes + 16), source);
  }
});
