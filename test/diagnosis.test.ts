import assert from "node:assert/strict";
import { test } from "node:test";
import { explainUnreachable } from "../src/diagnosis.ts";

const usual = {
  liveness: "silent",
  pingTarget: undefined,
  hasRecord: true,
  endpoint: { family: "ipv6", host: "2001:db8::7", port: 7 },
  mapping: "endpoint-independent",
  ownAddressKnown: true,
} as const;

const reasons: readonly (readonly [string, Partial<Parameters<typeof explainUnreachable>[0]>, RegExp])[] = [
  ["no STUN server answers", { ownAddressKnown: false, mapping: "destination-dependent" }, /stun\.addresses/],
  [
    "a symmetric NAT, though nothing was published",
    { mapping: "destination-dependent", hasRecord: false },
    /symmetric NAT/,
  ],
  ["no record", { hasRecord: false, mapping: undefined }, /published nothing/],
  ["no endpoint", { endpoint: undefined }, /endpoint is not known/],
  ["nothing comes back", {}, /nothing comes back from \[2001:db8::7\]:7/],
  ["a mapping that is not known", { mapping: undefined }, /nothing comes back/],
  [
    "a ping target that does not answer",
    { liveness: "receiving", pingTarget: "10.99.0.2" },
    /ping target 10\.99\.0\.2/,
  ],
  ["a peer that is heard without a ping", { liveness: "receiving" }, /nothing comes back/],
];

for (const [name, some, expected] of reasons) {
  test(`explainUnreachable: ${name}`, () => {
    const sentence = explainUnreachable({ ...usual, ...some });
    assert.match(sentence, expected);
    assert.doesNotMatch(sentence, /[.\n]$/);
  });
}
