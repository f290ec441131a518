import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTransportAddress } from "../../src/address.ts";
import { judgeMapping, type MappingBehavior } from "../../src/stun/mapping.ts";
import { at } from "../fakes/stun-world.ts";

const facts = { localPort: 51820, localAddresses: ["192.168.1.2", "2001:db8::2"] };

/** Samples written as "server mapped". */
const judge = (...samples: readonly string[]) =>
  judgeMapping(
    samples.map((sample) => {
      const [server = "", mapped = ""] = sample.split(" ");
      return { server: at(server), mapped: at(mapped) };
    }),
    facts,
  );

const cases: readonly (readonly [string, MappingBehavior, readonly string[]])[] = [
  ["no samples", "unknown", []],
  ["one sample", "unknown", ["192.0.2.1:3478 203.0.113.7:1000"]],
  [
    "two addresses, one mapping",
    "endpoint-independent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.7:1000"],
  ],
  [
    "two addresses, two mapped ports",
    "address- or address and port-dependent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.7:1001"],
  ],
  [
    "two addresses, two mapped hosts with the same port",
    "address- or address and port-dependent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.8:1000"],
  ],
  [
    "two of three addresses agree",
    "address- or address and port-dependent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.7:1000", "192.0.2.3:3478 203.0.113.7:1001"],
  ],
  [
    "one address with two ports, one mapping",
    "unknown",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.1:3479 203.0.113.7:1000"],
  ],
  [
    "one address with two ports, two mappings",
    "address and port-dependent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.1:3479 203.0.113.7:1001"],
  ],
  [
    "another mapping for another address, the same for its other port",
    "address-dependent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.7:1001", "192.0.2.2:3479 203.0.113.7:1001"],
  ],
  [
    "another mapping for each address and port",
    "address and port-dependent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.7:1001", "192.0.2.2:3479 203.0.113.7:1002"],
  ],
  [
    "the same server saw two mappings",
    "unknown",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.1:3478 203.0.113.7:1001", "192.0.2.2:3478 203.0.113.7:1000"],
  ],
];

for (const [name, mapping, samples] of cases) {
  test(`judgeMapping calls it ${mapping}: ${name}`, () => {
    assert.equal(judge(...samples).mapping, mapping);
  });
}

test("judgeMapping knows nothing without samples", () => {
  assert.deepEqual(judge(), { mapping: "unknown", nat: "unknown", preservesPort: undefined, mapped: [] });
});

test("judgeMapping sees no NAT only when address and port are our own", () => {
  assert.equal(judge("[2001:db8::1]:3478 [2001:db8::2]:51820").nat, "none");
  assert.equal(judge("[2001:db8::1]:3478 [2001:db8::2]:51821").nat, "present");
  assert.equal(judge("[2001:db8::1]:3478 [2001:db8::3]:51820").nat, "present");
  assert.equal(judge("192.0.2.1:3478 192.168.1.2:51820", "192.0.2.2:3478 203.0.113.7:51820").nat, "present");
});

test("judgeMapping sees port preservation only when every server saw our port", () => {
  assert.equal(judge("192.0.2.1:3478 203.0.113.7:51820").preservesPort, true);
  assert.equal(judge("192.0.2.1:3478 203.0.113.7:51820", "192.0.2.2:3478 203.0.113.7:1000").preservesPort, false);
});

test("judgeMapping lists the different mapped addresses with their scope", () => {
  const { mapped } = judge(
    "192.0.2.1:3478 203.0.113.7:1000",
    "192.0.2.2:3478 100.64.0.1:1000",
    "192.0.2.3:3478 203.0.113.7:1000",
    "10.0.0.1:3478 10.0.0.9:1000",
  );
  assert.deepEqual(
    mapped.map(({ address, scope }) => `${formatTransportAddress(address)} ${scope}`),
    ["203.0.113.7:1000 public", "100.64.0.1:1000 cgnat", "10.0.0.9:1000 private"],
  );
});
