import assert from "node:assert/strict";
import { test } from "node:test";
import { deviceChecks } from "../../src/doctor/check-device.ts";
import { peerChecks } from "../../src/doctor/check-peer.ts";
import type { DeviceFacts, PeerFacts, StoreFacts, StunFacts } from "../../src/doctor/facts.ts";
import { runChecks } from "../../src/doctor/finding.ts";
import { judgePeer } from "../../src/doctor/verdict.ts";
import type { PeerStateName } from "../../src/status.ts";
import { createDevice, createPeer, createStun, goodStore, NOW_MS, silent, symmetric, troubled } from "./facts.ts";

interface Case {
  readonly peer?: PeerFacts;
  readonly device?: Partial<DeviceFacts>;
  readonly stun?: StunFacts;
  readonly store?: StoreFacts;
  readonly daemonSays?: PeerStateName;
}

function judge({ peer = createPeer(), device: some = {}, stun = createStun(), store = goodStore, daemonSays }: Case) {
  const device = createDevice([peer], some);
  const nat = { ipv4: stun };
  const findings = [...runChecks(deviceChecks, device), ...runChecks(peerChecks, { peer, nat })];
  const facts = { device, peer: device.device && peer, peerName: "office", nat, stores: [store], daemonSays, findings };
  const { level, text } = judgePeer(facts);
  return `${level}: ${text}`;
}

const handshake = (ageMs: number, keepalive = 25) => ({
  reading: { latestHandshakeMs: NOW_MS - ageMs, persistentKeepalive: keepalive },
});
const silentTarget = new Map([["office", undefined]]);
const answering = new Map([["office", 12]]);
/** WireGuard got something from it between the two looks. */
const moving = (() => {
  const peer = createPeer(handshake(75_000));
  const now = peer.onDevice && { ...peer.onDevice, receivedBytes: peer.onDevice.receivedBytes + 32 };
  return { ...peer, onDevice: now };
})();
const eim = (nat: "eim" | "dep" | "none") =>
  ({
    found: [
      { plugin: "shared", record: { endpoints: { ipv4: { family: "ipv4", host: "198.51.100.7", port: 41000 } }, nat } },
    ],
  }) as const;

const cases: readonly (readonly [string, Case, RegExp])[] = [
  ["a session", { peer: createPeer(handshake(20_000)) }, /^ok: works: the last handshake was 20 s ago$/],
  [
    "an old handshake, the daemon: reachable",
    { peer: createPeer(handshake(75_000)), daemonSays: "reachable" },
    /^ok: works: the last handshake was 75 s ago$/,
  ],
  [
    "a young handshake, the daemon: unreachable",
    { peer: createPeer(handshake(20_000)), daemonSays: "unreachable" },
    /^fail: does not work any more, though the last handshake was 20 s ago: /,
  ],
  [
    "a silent target, the daemon: unreachable",
    { peer: createPeer(handshake(75_000)), device: { pings: silentTarget }, daemonSays: "unreachable" },
    /^fail: does not work any more, though the last handshake was 75 s ago: nothing comes back/,
  ],
  [
    "an answer, the daemon: still unreachable",
    { peer: createPeer(handshake(75_000)), device: { pings: answering }, daemonSays: "unreachable" },
    /^ok: works/,
  ],
  [
    "a target that answers no pings, but bytes come",
    { peer: moving, device: { pings: silentTarget }, daemonSays: "receiving" },
    /^ok: works/,
  ],
  [
    "a silent target, the daemon: still reachable",
    { peer: createPeer(handshake(75_000)), device: { pings: silentTarget }, daemonSays: "reachable" },
    /^warn: not known whether it works now: the last handshake was 75 s ago, .*, no answer of its ping target either$/,
  ],
  [
    "a silent target, no daemon",
    { peer: createPeer(handshake(10_000)), device: { pings: silentTarget } },
    /^warn: not known whether it works now/,
  ],
  [
    "an old handshake, no daemon",
    { peer: createPeer(handshake(75_000)) },
    /^warn: not known whether it works now: the last handshake was 75 s ago, and nothing was heard from the peer while this ran$/,
  ],
  ["an old handshake, no daemon, but bytes come", { peer: moving }, /^ok: works: the last handshake was 75 s ago$/],
  [
    "no keepalive",
    { peer: createPeer(handshake(3_600_000, 0)) },
    /^warn: idle or dead: there is no keepalive, .* 60 min ago$/,
  ],
  [
    "no interface",
    { device: { device: undefined, failure: { message: "Cannot find it", code: "WG_DEVICE_NOT_FOUND" } } },
    /^fail: Cannot find it$/,
  ],
  [
    "not on the device",
    { device: { device: { ...createDevice().device!, peers: [] } } },
    /^fail: the peer is not on the device/,
  ],
  [
    "UDP blocked",
    { stun: createStun({ survey: silent, otherPort: silent, tcpReaches: ["192.0.2.1:3478"] }) },
    /^fail: UDP is blocked: .*192\.0\.2\.1:3478 is reached by TCP$/,
  ],
  [
    "STUN blocked",
    { stun: createStun({ survey: silent, otherPort: silent, heardFrom: "home" }) },
    /^fail: STUN is blocked, .*\(home was just heard from\)$/,
  ],
  [
    "STUN blocked, where nothing but WireGuard's port can be tried",
    { stun: createStun({ survey: silent, otherPort: undefined, tcpReaches: ["192.0.2.1:3478"] }) },
    /^fail: UDP is blocked: no STUN server answers from WireGuard's port 51820, though/,
  ],
  [
    "an answer of no use beside a dead server",
    {
      stun: createStun({
        survey: troubled("unusable", "answered error 300"),
        otherPort: silent,
        tcpReaches: ["192.0.2.1:3478"],
      }),
    },
    /^fail: UDP works, but no STUN server is of use: 192\.0\.2\.1:3478: answered error 300$/,
  ],
  [
    "nothing sent, though the peer is heard",
    { stun: createStun({ survey: troubled("not sent", "not sent (ENETUNREACH)", "not sent"), heardFrom: "home" }) },
    /^fail: no STUN server could be asked: 192\.0\.2\.1:3478: not sent \(ENETUNREACH\); 192\.0\.2\.2:3478: /,
  ],
  [
    "something sent, and the peer is heard",
    { stun: createStun({ survey: troubled("not sent", "not sent (ENETUNREACH)"), heardFrom: "home" }) },
    /^fail: STUN is blocked, .*\(home was just heard from\)$/,
  ],
  [
    "no name",
    { stun: createStun({ survey: troubled("unresolved", "name not resolved (EAI_AGAIN)", "unresolved") }) },
    /^fail: no name of a STUN server can be resolved$/,
  ],
  [
    "an answer of no use at another port only",
    { stun: createStun({ survey: silent, otherPort: troubled("unusable", "answered error 300") }) },
    /^fail: 192\.0\.2\.1:3478 answers other ports .* port 51820: /,
  ],
  [
    "the port blocked",
    { stun: createStun({ survey: silent }) },
    /^fail: 192\.0\.2\.1:3478, 192\.0\.2\.2:3478 answers other ports .* port 51820: /,
  ],
  [
    "offline",
    { stun: createStun({ survey: silent, otherPort: silent }) },
    /^fail: no STUN server answers, by UDP or TCP/,
  ],
  [
    "store down",
    { store: { name: "shared", failed: { step: "write", message: "HTTP status 401", code: "STORE_UNAVAILABLE" } } },
    /^fail: addresses cannot be exchanged, .*401$/,
  ],
  ["no record", { peer: createPeer({ record: "" }) }, /^fail: the peer has published nothing for this host in shared$/],
  [
    "before the first start",
    { peer: { ...createPeer({ record: "" }), own: [], servedBy: undefined } },
    /^fail: the peer has published nothing for this host in shared, nor has this host for the peer$/,
  ],
  [
    "both symmetric",
    { stun: createStun({ survey: symmetric }), peer: createPeer(eim("dep")) },
    /^fail: the NATs of both sides map per destination/,
  ],
  [
    "symmetric here",
    { stun: createStun({ survey: symmetric }), peer: createPeer(eim("eim")) },
    /^fail: this side's NAT maps .* only if the peer's does not filter by port$/,
  ],
  [
    "symmetric there",
    { peer: createPeer(eim("dep")) },
    /^fail: the peer's NAT maps .* and this side's filters by port: this pair cannot/,
  ],
  [
    "symmetric there, port forwarded here",
    { stun: createStun({ portFiltering: "endpoint-independent" }), peer: createPeer(eim("dep")) },
    /^fail: nothing comes back from 198\.51\.100\.7:41000, though both NATs would/,
  ],
  [
    "same NAT",
    { peer: createPeer({ record: "203.0.113.7:40500" }) },
    /^fail: the peer is behind the same NAT \(203\.0\.113\.7\)/,
  ],
  [
    "same NAT that hairpins",
    { stun: createStun({ hairpins: true }), peer: createPeer({ record: "203.0.113.7:40500" }) },
    /^fail: nothing comes back/,
  ],
  [
    "no daemon",
    { peer: createPeer({ servedBy: undefined }) },
    /^warn: not connected, and nothing speaks against it: no daemon runs here/,
  ],
  ["silence", {}, /^fail: nothing comes back from 198\.51\.100\.7:41000: the peer is off/],
];

for (const [what, facts, verdict] of cases) {
  test(`judgePeer names the cause: ${what}`, () => {
    assert.match(judge(facts), verdict);
  });
}

test("judgePeer names the deepest of several causes", () => {
  const blocked = createStun({ survey: silent, otherPort: silent, tcpReaches: ["192.0.2.1:3478"] });
  const store: StoreFacts = { name: "shared", failed: { step: "write", message: "down", code: "STORE_UNAVAILABLE" } };
  assert.match(judge({ stun: blocked, store, peer: createPeer({ record: "" }) }), /^fail: UDP is blocked/);
  assert.match(judge({ store, peer: createPeer({ record: "" }) }), /^fail: addresses cannot be exchanged/);
});
