import assert from "node:assert/strict";
import { endianness } from "node:os";
import { test } from "node:test";
import { parseIp } from "../../../src/address.ts";
import {
  decodeIp,
  decodeLinkAddress,
  encodeLinkAddress,
  encodeSocketAddress,
} from "../../../src/platform/bsd/socket-address.ts";
import { darwin } from "../../../src/platform/darwin/constants.ts";
import { freebsd } from "../../../src/platform/freebsd/constants.ts";
import { constantOf, fieldOf, headersOf } from "../../fixtures/bsd-constants.ts";

for (const { name, constants: families } of [freebsd, darwin]) {
  test(`encodeSocketAddress lays addresses out as ${name} does`, () => {
    for (const [text, struct, prefix, family] of [
      ["198.51.100.7", "sockaddr_in", "sin", "AF_INET"],
      ["2001:db8::7", "sockaddr_in6", "sin6", "AF_INET6"],
    ] as const) {
      const ip = parseIp(text)!;
      const address = encodeSocketAddress(ip, { port: 3478, families });
      const at = (field: string) => {
        const { offset, size } = fieldOf(name, `${struct}.${prefix}_${field}`);
        return address.subarray(offset, offset + size);
      };
      assert.equal(address.length, headersOf(name).structs[struct]?.size);
      assert.deepEqual(at("len"), Uint8Array.of(address.length));
      assert.deepEqual(at("family"), Uint8Array.of(constantOf(name, family)));
      assert.deepEqual(at("port"), Uint8Array.of(3478 >> 8, 3478 & 0xff));
      assert.deepEqual(at("addr"), ip);
      assert.deepEqual(decodeIp(address, families), ip);
    }
  });

  test(`decodeIp of ${name} returns undefined for what is no whole IP address`, () => {
    const address = encodeSocketAddress(parseIp("2001:db8::7")!, { port: 1, families });
    assert.equal(decodeIp(address.subarray(0, 27), families), undefined);
    assert.equal(decodeIp(address.with(0, 24), families), undefined);
    assert.equal(decodeIp(address.with(1, families.AF_LINK), families), undefined);
    assert.equal(decodeIp(new Uint8Array(0), families), undefined);
    const ipv4 = encodeSocketAddress(parseIp("192.0.2.1")!, { port: 1, families });
    assert.equal(decodeIp(ipv4.with(0, 7), families), undefined);
    assert.deepEqual(decodeIp(ipv4.with(0, 8), families), parseIp("192.0.2.1"));
  });

  test(`encodeLinkAddress and decodeLinkAddress are inverse, as ${name} has it`, () => {
    const address = encodeLinkAddress({ index: 0x1234, name: "utun4" }, families);
    assert.deepEqual(decodeLinkAddress(address, families), { index: 0x1234, name: "utun4" });
    const index = fieldOf(name, "sockaddr_dl.sdl_index");
    const bytes = endianness() === "LE" ? [0x34, 0x12] : [0x12, 0x34];
    assert.deepEqual([...address.subarray(index.offset, index.offset + index.size)], bytes);
    assert.equal(address[fieldOf(name, "sockaddr_dl.sdl_nlen").offset], 5);
    assert.equal(address[fieldOf(name, "sockaddr_dl.sdl_family").offset], constantOf(name, "AF_LINK"));
    const data = fieldOf(name, "sockaddr_dl.sdl_data").offset;
    assert.equal(Buffer.from(address.subarray(data)).toString(), "utun4");
    assert.equal(decodeLinkAddress(address.with(5, 200), families), undefined);
    assert.equal(decodeLinkAddress(address.with(1, families.AF_INET), families), undefined);
    assert.equal(decodeLinkAddress(address.subarray(0, 7), families), undefined);
  });
}
