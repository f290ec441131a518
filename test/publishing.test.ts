import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointRecord } from "../src/address.ts";
import { isPublishDue, type Occasion } from "../src/publishing.ts";

const own: EndpointRecord = { ipv4: { family: "ipv4", host: "203.0.113.7", port: 40112 } };
const other: EndpointRecord = { ipv4: { family: "ipv4", host: "203.0.113.7", port: 40113 } };
const both: EndpointRecord = { ...own, ipv6: { family: "ipv6", host: "2001:db8::7", port: 51820 } };
const HOUR_MS = 3_600_000;

function due(some: Partial<Parameters<typeof isPublishDue>[0]>): boolean {
  return isPublishDue({
    own,
    published: { endpoints: own, atMs: 0 },
    occasion: "poll",
    dedup: true,
    expiresAfterMs: undefined,
    monotonicMs: 1_000,
    ...some,
  });
}

test("what was never published is due on every occasion", () => {
  const occasions: readonly Occasion[] = ["poll", "change", "interval", "failure"];
  for (const occasion of occasions) assert.equal(due({ occasion, published: undefined }), true, occasion);
});

test("another address or another family is due on every occasion", () => {
  for (const endpoints of [other, both, {}]) {
    assert.equal(due({ published: { endpoints, atMs: 0 } }), true);
    assert.equal(due({ published: { endpoints, atMs: 0 }, occasion: "interval" }), true);
  }
});

test("what could not be written once more is due on every occasion", () => {
  assert.equal(due({ published: { endpoints: own, atMs: 0, isDoubted: true } }), true);
  assert.equal(due({ published: { endpoints: own, atMs: 0 } }), false);
});

test("unchanged addresses are due after a failure, and at an interval without dedup", () => {
  const table: readonly (readonly [Occasion, boolean, boolean])[] = [
    ["poll", true, false],
    ["poll", false, false],
    ["change", true, false],
    ["change", false, false],
    ["interval", true, false],
    ["interval", false, true],
    ["failure", true, true],
    ["failure", false, true],
  ];
  for (const [occasion, dedup, expected] of table) {
    assert.equal(due({ occasion, dedup }), expected, `${occasion}, dedup ${dedup}`);
  }
});

test("unchanged addresses are due before the store forgets them, and after 6 h in any case", () => {
  assert.equal(due({ monotonicMs: 6 * HOUR_MS - 1 }), false);
  assert.equal(due({ monotonicMs: 6 * HOUR_MS }), true);
  assert.equal(due({ expiresAfterMs: HOUR_MS, monotonicMs: HOUR_MS / 2 - 1 }), false);
  assert.equal(due({ expiresAfterMs: HOUR_MS, monotonicMs: HOUR_MS / 2 }), true);
  assert.equal(due({ expiresAfterMs: 100 * HOUR_MS, monotonicMs: 6 * HOUR_MS }), true);
});

test("a NAT that was found out after publishing is told when the peer is looked for, once", () => {
  assert.equal(due({ nat: "dep" }), true);
  assert.equal(due({ nat: "dep", published: { endpoints: own, nat: "dep", atMs: 0 } }), false);
  assert.equal(due({ nat: undefined, published: { endpoints: own, nat: "dep", atMs: 0 } }), false);
  for (const occasion of ["interval", "change"] as const) assert.equal(due({ nat: "dep", occasion }), false, occasion);
});
