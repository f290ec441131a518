import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIp } from "../../../src/address.ts";
import { decodeIp, encodeSocketAddress } from "../../../src/platform/bsd/socket-address.ts";
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
    assert.equal(decodeIp(address.with(1, 18), families), undefined);
    assert.equal(decodeIp(new Uint8Array(0), families), undefined);
    const ipv4 = encodeSocketAddress(parseIp("192.0.2.1")!, { port: 1, families });
    assert.equal(decodeIp(ipv4.with(0, 7), families), undefined);
    assert.deepEqual(decodeIp(ipv4.with(0, 8), families), parseIp("192.0.2.1"));
  });
}
