import assert from "node:assert/strict";
import { test } from "node:test";
import { parseIp } from "../src/address.ts";
import { ownerOf, parseNetwork } from "../src/allowed-ips.ts";

const peers = [
  { name: "hub", allowedIps: ["10.99.0.0/24", "fd00::/64", "0.0.0.0/0", "nonsense"] },
  { name: "site", allowedIps: ["10.99.0.7/32", "10.99.0.64/26", "fd00::7/128"] },
  { name: "none", allowedIps: [] },
];

const cases = [
  ["10.99.0.7", "site"],
  ["10.99.0.8", "hub"],
  ["10.99.0.63", "hub"],
  ["10.99.0.64", "site"],
  ["10.99.0.127", "site"],
  ["10.99.0.128", "hub"],
  ["192.0.2.1", "hub"],
  ["fd00::7", "site"],
  ["fd00::8", "hub"],
  ["fd00:0:0:1::7", undefined],
  ["::", undefined],
] as const;

for (const [text, expected] of cases) {
  test(`ownerOf: packets for ${text} go to ${expected ?? "nobody"}`, () => {
    assert.equal(ownerOf({ peers }, parseIp(text) ?? new Uint8Array())?.name, expected);
  });
}

test("parseNetwork clears what is behind the prefix, and refuses what is no network", () => {
  assert.deepEqual(parseNetwork("10.99.3.7/22"), { bytes: Uint8Array.of(10, 99, 0, 0), prefix: 22 });
  for (const text of ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/x", "fd00::/129", "10.0.0.0/8/8", ""]) {
    assert.equal(parseNetwork(text), undefined, text);
  }
});
