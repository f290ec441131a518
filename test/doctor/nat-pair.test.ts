/** The table of docs/nat.md, cell by cell. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { explainPair, type NatSide } from "../../src/doctor/nat-pair.ts";

const kinds: Readonly<Record<string, NatSide>> = {
  open: { mapping: "endpoint-independent", filtering: "endpoint-independent" },
  address: { mapping: "endpoint-independent", filtering: "address-dependent" },
  port: { mapping: "endpoint-independent", filtering: "address and port-dependent" },
  symmetric: { mapping: "destination-dependent", filtering: "address and port-dependent" },
};
const impossible = new Set(["port symmetric", "symmetric port", "symmetric symmetric"]);

for (const [one, own] of Object.entries(kinds)) {
  for (const [two, peer] of Object.entries(kinds)) {
    const isImpossible = impossible.has(`${one} ${two}`);
    test(`explainPair: ${one} and ${two} ${isImpossible ? "cannot connect" : "connect"}`, () => {
      assert.equal(explainPair(own, peer)?.isProved ?? false, isImpossible);
      assert.equal(explainPair(own, peer) !== undefined, isImpossible);
    });
  }
}

test("explainPair proves nothing about what is not known", () => {
  const { symmetric = kinds.symmetric!, port = kinds.port! } = kinds;
  const unknown: NatSide = { mapping: undefined, filtering: "unknown" };
  assert.equal(explainPair(unknown, unknown), undefined);
  assert.equal(explainPair(port, unknown), undefined);
  for (const mapping of [undefined, "endpoint-independent", "no NAT"] as const) {
    assert.equal(explainPair(symmetric, { mapping, filtering: "unknown" })?.isProved, false);
  }
});
