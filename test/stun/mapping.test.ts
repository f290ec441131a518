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
    "two addresses, two mapped hosts with the same port: one of the two servers may be wrong",
    "unknown",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.8:1000"],
  ],
  [
    "two of three addresses agree",
    "endpoint-independent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.7:1000", "192.0.2.3:3478 203.0.113.7:1001"],
  ],
  [
    "two of three agree, but they are in one place",
    "address and port-dependent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.1:3479 203.0.113.7:1001", "192.0.2.3:3478 203.0.113.7:1001"],
  ],
  [
    "two of three agree, and the third sees another host",
    "endpoint-independent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.7:1000", "192.0.2.3:3478 198.51.100.9:7"],
  ],
  [
    "three addresses, three ports",
    "address- or address and port-dependent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.7:1001", "192.0.2.3:3478 203.0.113.7:1002"],
  ],
  [
    "three addresses, three hosts: no single server explains that",
    "address- or address and port-dependent",
    ["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.8:1000", "192.0.2.3:3478 203.0.113.9:1000"],
  ],
  [
    "two of four see another host",
    "address- or address and port-dependent",
    [
      ...["192.0.2.1:3478 203.0.113.7:1000", "192.0.2.2:3478 203.0.113.7:1000"],
      ...["192.0.2.3:3478 203.0.113.8:1000", "192.0.2.4:3478 203.0.113.8:1000"],
    ],
  ],
  [
    "a private address beside a public one",
    "unknown",
    ["192.0.2.1:3478 172.17.0.1:1000", "192.0.2.2:3478 203.0.113.7:1000"],
  ],
  [
    "a private address beside two public ones",
    "endpoint-independent",
    ["192.0.2.1:3478 172.17.0.1:1", "192.0.2.2:3478 203.0.113.7:1000", "192.0.2.3:3478 203.0.113.7:1000"],
  ],
  [
    "a private address beside two public ones of a symmetric NAT",
    "address- or address and port-dependent",
    ["192.0.2.1:3478 172.17.0.1:1", "192.0.2.2:3478 203.0.113.7:1000", "192.0.2.3:3478 203.0.113.7:1001"],
  ],
  [
    "private addresses only, one port",
    "endpoint-independent",
    ["192.0.2.1:3478 10.0.0.1:1000", "192.0.2.2:3478 10.0.0.1:1000"],
  ],
  [
    "private addresses only, two ports",
    "address- or address and port-dependent",
    ["192.0.2.1:3478 10.0.0.1:1000", "192.0.2.2:3478 10.0.0.1:1001"],
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
  assert.deepEqual(judge(), {
    mapping: "unknown",
    nat: "unknown",
    preservesPort: undefined,
    mapped: [],
    dissenters: [],
    disputed: [],
  });
});

test("judgeMapping sees no NAT only when address and port are our own", () => {
  assert.equal(judge("[2001:db8::1]:3478 [2001:db8::2]:51820").nat, "none");
  assert.equal(judge("[2001:db8::1]:3478 [2001:db8::2]:51821").nat, "present");
  assert.equal(judge("[2001:db8::1]:3478 [2001:db8::3]:51820").nat, "present");
  assert.equal(judge("192.0.2.1:3478 192.168.1.2:51820", "192.0.2.2:3478 203.0.113.7:51820").nat, "present");
  assert.equal(judge("192.0.2.1:3478 203.0.113.8:51820", "192.0.2.2:3478 203.0.113.7:51820").nat, "unknown");
});

test("judgeMapping sees port preservation only when every server saw our port", () => {
  assert.equal(judge("192.0.2.1:3478 203.0.113.7:51820").preservesPort, true);
  assert.equal(judge("192.0.2.1:3478 203.0.113.7:51820", "192.0.2.2:3478 203.0.113.7:1000").preservesPort, false);
});

test("judgeMapping lists the different mapped addresses that are believed with their scope", () => {
  const listed = (...samples: readonly string[]) =>
    judge(...samples).mapped.map(({ address, scope }) => `${formatTransportAddress(address)} ${scope}`);
  const mixed = [
    "192.0.2.1:3478 203.0.113.7:1000",
    "192.0.2.2:3478 100.64.0.1:1000",
    "192.0.2.3:3478 203.0.113.7:1001",
  ];
  assert.deepEqual(listed(...mixed), ["203.0.113.7:1000 public", "203.0.113.7:1001 public"]);
  assert.deepEqual(listed("192.0.2.2:3478 100.64.0.1:1000", "10.0.0.1:3478 10.0.0.9:1000"), [
    "100.64.0.1:1000 cgnat",
    "10.0.0.9:1000 private",
  ]);
});

test("judgeMapping names who is contradicted, and accuses nobody on the word of one", () => {
  const named = (...samples: readonly string[]) => {
    const { dissenters, disputed } = judge(...samples);
    return [...dissenters.map(({ serverName, why }) => `${serverName} ${why}`), `${disputed.length} disputed`];
  };
  const truth = ["192.0.2.2:3478 203.0.113.7:1000", "192.0.2.3:3478 203.0.113.7:1000"];
  assert.deepEqual(named(...truth), ["0 disputed"]);
  for (const lie of ["198.51.100.9:7", "203.0.113.7:1001", "192.0.2.1:3478"]) {
    assert.deepEqual(named(`192.0.2.1:3478 ${lie}`, ...truth), ["192.0.2.1:3478 alone", "0 disputed"], lie);
  }
  assert.deepEqual(named("192.0.2.1:3478 172.17.0.1:9", ...truth.slice(1)), [
    "192.0.2.1:3478 not public",
    "0 disputed",
  ]);
  assert.deepEqual(named("192.0.2.1:3478 198.51.100.9:7", ...truth.slice(1)), ["2 disputed"]);
  // A symmetric NAT: nobody lies.
  assert.deepEqual(named("192.0.2.1:3478 203.0.113.7:1001", ...truth.slice(1)), ["0 disputed"]);
  // Private addresses are all there is.
  assert.deepEqual(named("192.0.2.1:3478 10.0.0.1:9", "192.0.2.2:3478 10.0.0.1:9"), ["0 disputed"]);
});

test("judgeMapping counts what a server says from its second address as its own word", () => {
  const sample = (server: string, mapped: string, serverName: string) => ({
    ...{ server: at(server), mapped: at(mapped), serverName },
  });
  const { dissenters, disputed, mapping } = judgeMapping(
    [
      sample("192.0.2.1:3478", "198.51.100.9:7", "liar.example:3478"),
      sample("192.0.2.11:3478", "198.51.100.9:7", "liar.example:3478"),
      sample("192.0.2.2:3478", "203.0.113.7:1000", "honest.example:3478"),
    ],
    facts,
  );
  assert.deepEqual(dissenters, []);
  assert.equal(disputed.length, 3);
  assert.equal(mapping, "unknown");
});
