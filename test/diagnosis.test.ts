import assert from "node:assert/strict";
import { test } from "node:test";
import { explainUnreachable } from "../src/diagnosis.ts";

const usual = {
  liveness: "silent",
  pingTarget: undefined,
  hasRecord: true,
  wasFetched: true,
  hadHandshake: false,
  endpoint: { family: "ipv6", host: "2001:db8::7", port: 7 },
  mapping: "endpoint-independent",
  ownAddressKnown: true,
} as const;

const portChange = { from: 51820, to: 40404, at: "2026-11-01T12:00:00Z" };
const trouble = { store: "shared", message: "Cannot use it: 503" };
const isSilent = { stunTrouble: { kind: "silent", message: "192.0.2.1:3478: no answer" } } as const;
const silent = { ownAddressKnown: false, ...isSilent } as const;
const failed = (kind: "unusable" | "not sent" | "unresolved", message = "why") =>
  ({ ownAddressKnown: false, stunTrouble: { kind, message } }) as const;

const dependent = "destination-dependent";
const independent = "endpoint-independent";

const reasons: readonly (readonly [string, Partial<Parameters<typeof explainUnreachable>[0]>, RegExp])[] = [
  ["no STUN server answers", { ...silent, mapping: "destination-dependent" }, /^no STUN server .*stun\.addresses/],
  ["no STUN server answers any more", isSilent, /no peer is heard: UDP is blocked/],
  ["only STUN is blocked", { ...silent, heardFrom: "home" }, /^STUN is blocked.*other UDP works \(home was just/],
  ["only STUN is blocked, and the address is known", { ...isSilent, heardFrom: "home" }, /^nothing comes back/],
  ["a STUN answer of no use", failed("unusable"), /^UDP works, but no STUN server is of use: why; name other servers/],
  [
    "NAT64 without CLAT",
    failed("unusable", "it is no IPv6 address: NAT64 is on the way"),
    /^UDP works, .*NAT64 .*; name a STUN server that has an IPv6 address of its own .*CLAT/,
  ],
  ["nothing could be sent", failed("not sent", "no route"), /^no STUN server could be asked: no route; .*routes/],
  ["nothing could be sent, and a peer is heard", { ...failed("not sent"), heardFrom: "home" }, /could be asked: why/],
  ["no name is resolved", failed("unresolved"), /^no name of a STUN server can be resolved; repair DNS/],
  ["no STUN server was asked yet", { ownAddressKnown: false }, /own address is not known yet/],
  [
    "a key that two hosts have",
    { ...silent, foreign: "192.0.2.7:7" },
    /^another host publishes with this host's key: .*192\.0\.2\.7:7/,
  ],
  [
    "a symmetric NAT, though nothing was published",
    { mapping: "destination-dependent", hasRecord: false },
    /symmetric NAT/,
  ],
  ["no record", { hasRecord: false, mapping: undefined }, /published nothing .*wrong public key/],
  ["no record of a peer whose key is right", { hasRecord: false, hadHandshake: true }, /with another store$/],
  ["no look at the store yet", { hasRecord: false, wasFetched: false }, /not known yet: the store is being asked/],
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
    { publishTrouble: { ...trouble, isFirst: true }, hasRecord: false },
    /in no store yet.*store shared .*Cannot use it: 503/,
  ],
  [
    "a store that takes nothing any more",
    { publishTrouble: { ...trouble, isFirst: false } },
    /cannot be kept up to date .*store shared .*Cannot use it: 503/,
  ],
  [
    "a store that gives nothing",
    { fetchTrouble: trouble, hasRecord: false },
    /^addresses cannot be exchanged, the store shared does not work: Cannot use it: 503; "stunmesh-ts store test shared"/,
  ],
  [
    "a record of other keys",
    { recordTrouble: { ...trouble, isUnreadable: true } },
    /^what the store shared has .*new key/,
  ],
  [
    "a record that is none",
    { recordTrouble: { ...trouble, isUnreadable: false } },
    /cannot be used: Cannot use it: 503$/,
  ],
  [
    "another listen port",
    { portChange },
    /since .* listen port changed from 51820 to 40404 at 2026-11-01T12:00:00Z: the/,
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
