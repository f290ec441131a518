import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAllowedIp, parseCount, parseEndpoint, splitBytes } from "../../src/wg/field.ts";

test("parseAllowedIp gives canonical text", () => {
  for (const [text, wanted] of [
    ["10.0.0.0/8", "10.0.0.0/8"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:DB8:0:0::1/064", "2001:db8::1/64"],
    ["::/0", "::/0"],
    ["::FFFF:192.0.2.1/128", "::ffff:192.0.2.1/128"],
    ["10.0.0.0/33", undefined],
    ["fe80::1%eth0/64", undefined],
    ["10.0.0.0", undefined],
  ] as const) {
    assert.equal(parseAllowedIp(text), wanted, text);
  }
});

test("parseEndpoint tells an endpoint of no use from none", () => {
  assert.deepEqual(parseEndpoint("192.0.2.1:7"), { endpoint: { family: "ipv4", host: "192.0.2.1", port: 7 } });
  assert.deepEqual(parseEndpoint("[::ffff:192.0.2.1]:7")?.endpoint?.host, "192.0.2.1");
  assert.deepEqual(parseEndpoint("[fe80::1%eth0.5]:7"), {});
  assert.deepEqual(parseEndpoint("192.0.2.1:0"), {});
  for (const text of ["", "192.0.2.1", "192.0.2.300:0", "[fe80::1%]:7", "[fe80::1%a b]:7", "[fe80::1%a]:70000"]) {
    assert.equal(parseEndpoint(text), undefined, text);
  }
});

test("parseCount takes decimal numbers up to its maximum", () => {
  assert.equal(parseCount("0", 9), 0);
  assert.equal(parseCount("65535", 65535), 65535);
  for (const text of ["", "65536", "-1", "+1", "1.0", "1e3", "0x1", " 1", "1".repeat(21)]) {
    assert.equal(parseCount(text, 65535), undefined, text);
  }
});

test("splitBytes splits as String.split does", () => {
  for (const text of ["", "a", "\n", "a\nb", "\na\n\nb\n"]) {
    const parts = splitBytes(Buffer.from(text), 0x0a).map(String);
    assert.deepEqual(parts, text.split("\n"), JSON.stringify(text));
  }
});
