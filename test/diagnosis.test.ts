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

const dependent = "destination-dependent";
const independent = "endpoint-independent";

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
  [
    "both NATs symmetric",
    { mapping: dependent, peerMapping: dependent },
    /here|this host.*and so does the peer's.*cannot connect directly/,
  ],
  [
    "only the own NAT symmetric",
    { mapping: dependent, peerMapping: independent },
    /this host.*peer's NAT lets in nothing.*forward/,
  ],
  [
    "the own NAT symmetric, the peer without",
    { mapping: dependent, peerMapping: "no NAT" },
    /peer has no NAT: a firewall there/,
  ],
  [
    "only the peer's NAT symmetric",
    { mapping: independent, peerMapping: dependent },
    /^the peer's NAT .*NAT here lets in nothing.*forward/,
  ],
  ["the peer's NAT symmetric, none here", { mapping: "no NAT", peerMapping: dependent }, /no NAT: a firewall here/],
  ["the peer's NAT symmetric, the own unknown", { mapping: undefined, peerMapping: dependent }, /unless the NAT here/],
  [
    "two NATs that connect",
    { peerMapping: independent },
    /nothing comes back from \S+ the peer is off, has another key for this host, or a/,
  ],
  [
    "a store that takes nothing",
    { publishError: "Cannot set: 503", hasRecord: false },
    /in no store yet.*Cannot set: 503/,
  ],
  ["a store that gives nothing", { fetchError: "Cannot get: 503", hasRecord: false }, /looked up: Cannot get: 503/],
  ["a store that fails now", { fetchError: "Cannot get: 503" }, /nothing comes back/],
  ["a peer that is heard without a ping", { liveness: "receiving" }, /nothing comes back/],
];

for (const [name, some, expected] of reasons) {
  test(`explainUnreachable: ${name}`, () => {
    const sentence = explainUnreachable({ ...usual, ...some });
    assert.match(sentence, expected);
    assert.doesNotMatch(sentence, /[.\n]$/);
  });
}
