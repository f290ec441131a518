import assert from "node:assert/strict";
import { test } from "node:test";
import { deviceChecks } from "../../src/doctor/check-device.ts";
import { hostChecks } from "../../src/doctor/check-host.ts";
import { peerChecks } from "../../src/doctor/check-peer.ts";
import { storeChecks } from "../../src/doctor/check-store.ts";
import { stunChecks } from "../../src/doctor/check-stun.ts";
import type { DeviceFacts, HostFacts, PeerFacts, StunFacts } from "../../src/doctor/facts.ts";
import { type CheckId, type Finding, runChecks } from "../../src/doctor/finding.ts";
import { at } from "../fakes/stun-world.ts";
import { createDevice, createPeer, createStun, goodStore, NOW_MS, type PeerOptions, surveyOf } from "./facts.ts";

/** "level: text" of the findings of one check. */
function said(findings: readonly Finding[], check: CheckId): readonly string[] {
  return findings.filter((one) => one.check === check).map(({ level, text }) => `${level}: ${text}`);
}
const ofDevice = (facts: DeviceFacts, check: CheckId) => said(runChecks(deviceChecks, facts), check).join("\n");
const ofPeer = (some: PeerOptions, check: CheckId, stun: StunFacts = createStun()) =>
  said(runChecks(peerChecks, { peer: createPeer(some), nat: { ipv4: stun } }), check).join("\n");

const host: HostFacts = {
  configPath: "/etc/stunmesh/config.yaml",
  summary: "1 interface",
  warnings: [],
  nodeVersion: "20.19.0",
  nativeError: undefined,
  isRoot: true,
  capabilities: 0x3000n,
  isClockSynchronized: true,
  nowMs: NOW_MS,
};

test("a host and an interface without trouble have no finding worse than info", () => {
  const findings = [
    ...runChecks(hostChecks, host),
    ...runChecks(deviceChecks, createDevice()),
    ...runChecks(stunChecks, createStun()),
    ...runChecks(storeChecks, goodStore),
  ];
  assert.deepEqual(
    findings.filter(({ level }) => level === "warn" || level === "fail"),
    [],
  );
  assert.ok(findings.length > 6);
});

test("privileges: each missing capability is named, and none is needed of root where there are none", () => {
  const of = (some: Partial<HostFacts>) => said(runChecks(hostChecks, { ...host, ...some }), "privileges").join();
  assert.match(of({ capabilities: 0n }), /^fail: .*CAP_NET_ADMIN and CAP_NET_RAW$/);
  assert.match(of({ capabilities: 1n << 13n }), /^warn: .*lacks CAP_NET_ADMIN$/);
  assert.match(of({ capabilities: undefined }), /^ok: /);
  assert.match(of({ capabilities: undefined, isRoot: false }), /^fail: not root/);
});

test("clock: an impossible time, a missing synchronization, and the clock of a store's server", () => {
  const of = (some: Partial<HostFacts>) => said(runChecks(hostChecks, { ...host, ...some }), "clock").join();
  assert.match(of({ nowMs: 0 }), /^fail: .*1970-01-01/);
  assert.match(of({ isClockSynchronized: false }), /^warn: the clock is not synchronized$/);
  const skewed = (clockSkewMs: number) => said(runChecks(storeChecks, { ...goodStore, clockSkewMs }), "clock").join();
  assert.match(skewed(3_600_000), /^warn: this host's clock is 60 min behind that of the store's server$/);
  assert.match(skewed(-300_000), /5 min ahead of/);
  assert.equal(skewed(2_000), "");
});

test("keys: a peer with this host's own key", () => {
  const peer = createPeer();
  const device = createDevice([peer]);
  const same = { ...device, device: { ...device.device!, publicKey: peer.config.publicKey } };
  assert.match(ofDevice(same, "keys"), /^fail: the public key of this peer is this host's own$/);
  assert.equal(ofDevice(device, "keys"), "");
});

test("keepalive and allowed IPs of each peer", () => {
  const bare = createPeer({ reading: { persistentKeepalive: 0, allowedIps: [] } });
  assert.match(ofDevice(createDevice([bare]), "keepalive"), /^warn: no keepalive: /);
  assert.match(ofDevice(createDevice([bare]), "allowed-ips"), /^fail: the peer has no allowed IPs/);
});

test("ping-target: goes to its peer by the longest prefix, or to another, or to none", () => {
  const ping = (target: string) => ({ target, intervalMs: 1000, timeoutMs: 1000 });
  const pingedAt = (target: string, allowedIps = ["10.99.0.2/32"]) => {
    const one = createPeer({ config: { ping: ping(target) }, reading: { allowedIps } });
    const two = createPeer({ config: { name: "home" }, reading: { allowedIps: ["10.99.0.128/25", "fd99::3/128"] } });
    return ofDevice(createDevice([one, two], { pings: new Map([["office", undefined]]) }), "ping-target");
  };
  assert.match(pingedAt("10.99.0.2"), /^warn: 10\.99\.0\.2 does not answer through the tunnel$/);
  assert.match(pingedAt("10.99.0.130", ["10.99.0.0/24"]), /^fail: .* belongs to the allowed IPs of another peer$/);
  assert.match(pingedAt("10.99.0.100", ["10.99.0.0/24"]), /^warn/);
  assert.match(pingedAt("10.98.0.1"), /^fail: .* is in no peer's allowed IPs$/);
  assert.match(pingedAt("fd99::3"), /another peer$/);
  assert.match(
    pingedAt("10.99.0.1", ["10.99.0.0/24"]),
    /^fail: the ping target 10\.99\.0\.1 is an address of this host$/,
  );
});

test("mtu: tunnel and overhead against the uplink, by the family outside", () => {
  const of = (tunnelMtu: number, mtu: number, protocol: "ipv4" | "dualstack" = "dualstack") => {
    const facts = createDevice([createPeer()], { tunnelMtu, uplink: { name: "ppp0", mtu } });
    return ofDevice({ ...facts, config: { ...facts.config, protocol } }, "mtu");
  };
  assert.equal(of(1420, 1500), "");
  assert.match(of(1421, 1500), /^warn: the tunnel's MTU of 1421 and 80 bytes .* 1500 of ppp0/);
  assert.match(of(1420, 1492), /^warn: /);
  assert.equal(of(1420, 1492, "ipv4"), "");
});

test("route: what goes into the tunnel itself, with and without a firewall mark; reverse-path: only with one", () => {
  const full = createPeer({ reading: { allowedIps: ["0.0.0.0/0"] } });
  const base = createDevice([full], { throughTunnel: ["192.0.2.1:3478"], isReversePathStrict: true });
  assert.match(ofDevice(base, "route"), /^fail: packets to 192\.0\.2\.1:3478 .*\(allowed IPs with 0\.0\.0\.0\/0/);
  assert.equal(ofDevice(base, "reverse-path"), "");
  const marked = { ...base, device: { ...base.device!, firewallMark: 0xca6c } };
  assert.match(ofDevice(marked, "route"), /^warn: all but marked packets go through the tunnel/);
  assert.match(ofDevice(marked, "reverse-path"), /^warn: the strict reverse path filter of eth0/);
});

test("mapped-address: an address that the internet cannot route to", () => {
  const of = (mapped: string) =>
    said(
      runChecks(stunChecks, createStun({ survey: surveyOf({ "192.0.2.1:3478": mapped }) })),
      "mapped-address",
    ).join();
  assert.match(of("100.64.3.4:5000"), /^warn: .*carrier's NAT/);
  assert.match(of("10.0.0.9:5000"), /^warn: .*a private address/);
  assert.match(of("203.0.113.7:51820"), /^ok: .*/);
});

test("discovery: who is asked by a daemon, who answers it, and who never gets a turn", () => {
  const servers = surveyOf({
    "192.0.2.1:3478": undefined,
    "192.0.2.2:3478": "203.0.113.7:1",
    "192.0.2.3:3478": "203.0.113.7:1",
  });
  const of = (some: Partial<StunFacts["discovery"]>, isOnlyFamily = true) => {
    const asked = ["192.0.2.1:3478", "192.0.2.2:3478"];
    const discovery = { serverName: "192.0.2.2:3478", failure: undefined, tookMs: 1_020, asked, ...some };
    return said(runChecks(stunChecks, createStun({ survey: servers, discovery, isOnlyFamily })), "discovery").join();
  };
  assert.match(
    of({}),
    /^info: .* takes the answer of 192\.0\.2\.2:3478, after 1\.0 s; asked besides: 192\.0\.2\.1:3478; /,
  );
  assert.match(of({}), /its turn does not come: 192\.0\.2\.3:3478$/);
  assert.match(of({ tookMs: 20, asked: ["192.0.2.2:3478"] }), /^ok: .*asked besides: none; /);
  assert.match(of({ tookMs: 2_500 }), /^info: /);
  assert.match(of({ tookMs: 2_500 }, false), /^warn: .*this one has 2 s, and is found after some refreshes only$/);
  const failure = { message: "Cannot learn", code: "STUN_NO_ANSWER" } as const;
  assert.match(of({ serverName: undefined, failure }), /^warn: .* learns no address, though .*: Cannot learn$/);
});

test("stun-server: one that others contradict, and mapped-address when two contradict each other", () => {
  const of = (seen: Parameters<typeof surveyOf>[0]) => runChecks(stunChecks, createStun({ survey: surveyOf(seen) }));
  const truth = { "192.0.2.2:3478": "203.0.113.7:1", "192.0.2.3:3478": "203.0.113.7:1" };
  const docker = of({ "192.0.2.1:3478": "172.17.0.1:1", ...truth });
  assert.match(
    said(docker, "stun-server")[0] ?? "",
    /^warn: .*192\.0\.2\.1:3478 says .*172\.17\.0\.1:1.*no public address/,
  );
  assert.match(said(docker, "mapped-address").join(), /^ok: this host is 203\.0\.113\.7:1 /);
  const lone = of({ "192.0.2.1:3478": "198.18.0.9:1", ...truth });
  assert.match(said(lone, "stun-server")[0] ?? "", /^warn: .*alone says/);
  const two = of({ "192.0.2.1:3478": "198.18.0.9:1", "192.0.2.2:3478": "203.0.113.7:1" });
  assert.match(said(two, "mapped-address").join(), /^warn: the STUN servers contradict each other .*198\.18\.0\.9:1, /);
  assert.match(said(two, "stun-server").join(), /^ok: .*,ok: /);
  // A symmetric NAT: one IP address, two ports.
  const symmetric = of({ "192.0.2.1:3478": "203.0.113.7:1", "192.0.2.2:3478": "203.0.113.7:2" });
  assert.match(said(symmetric, "stun-server").join(), /^ok: .*,ok: /);
});

const record = (sequence: number, endpoint = "198.51.100.7:41000"): PeerFacts["found"][number] => ({
  plugin: "shared",
  record: { endpoints: { ipv4: at(endpoint) }, sequence },
});
const seconds = NOW_MS / 1000;

test("record: the freshest counts, bad ones beside it are a warning, alone a failure, old ones are stale", () => {
  const bad = { plugin: "other", failure: { message: "Cannot open a record", code: "RECORD_UNREADABLE" } } as const;
  assert.match(
    ofPeer({ found: [record(seconds - 5), bad] }, "record"),
    /^ok: .*198.51.100.7:41000, 5 s old\nwarn: in other: Cannot open/,
  );
  assert.match(ofPeer({ found: [bad] }, "record"), /^fail: in other: Cannot open a record$/);
  const older = { plugin: "shared", failure: { message: "older", code: "RECORD_ROLLED_BACK" } } as const;
  assert.match(
    ofPeer({ found: [older, record(seconds - 5), { ...bad, plugin: "shared" }] }, "record"),
    /^ok: .*198.51.100.7:41000, 5 s old$/,
  );
  assert.match(ofPeer({ found: [record(seconds - 30_000)] }, "record"), /^warn: .* 8 h old$/);
  const failure = { message: "down", code: "STORE_UNAVAILABLE" } as const;
  assert.equal(ofPeer({ found: [], unreadable: new Map([["shared", failure]]) }, "record"), "");
});

test("record-clock: only a record from the future says something", () => {
  assert.match(ofPeer({ found: [record(seconds + 3600)] }, "record-clock"), /^warn: .* 60 min in the future/);
  assert.equal(ofPeer({ found: [record(seconds + 60)] }, "record-clock"), "");
  assert.equal(ofPeer({ found: [record(seconds - 86_400)] }, "record-clock"), "");
});

test("own-record: nothing, up to date, outdated, and written by another host with the same key", () => {
  const elsewhere = (sequence: number) => ({ own: [record(sequence, "192.0.2.77:1234")] });
  assert.match(ofPeer({ own: [] }, "own-record"), /^fail: this host has published nothing/);
  assert.match(ofPeer({}, "own-record"), /^ok: .*203\.0\.113\.7:40112, which is where it is$/);
  assert.match(
    ofPeer({ ...elsewhere(seconds - 5), usedSequence: seconds - 5 }, "own-record"),
    /^fail: this host is 203\.0\.113\.7:40112 now, but has published 192\.0\.2\.77:1234/,
  );
  assert.match(
    ofPeer({ ...elsewhere(seconds), usedSequence: seconds - 5 }, "own-record"),
    /^fail: another host publishes with this host's key/,
  );
  const forgotten = { usedSequence: undefined, servedBy: undefined };
  assert.match(ofPeer({ ...elsewhere(seconds - 60), ...forgotten }, "own-record"), /another host/);
  assert.match(ofPeer({ ...elsewhere(seconds - 86_400), ...forgotten }, "own-record"), /^fail: this host is/);
});

test("own-record: a symmetric NAT shows everyone another port, so only the address is compared", () => {
  const stun = createStun({
    survey: surveyOf({ "192.0.2.1:3478": "203.0.113.7:40112", "192.0.2.2:3478": "203.0.113.7:40113" }),
  });
  assert.match(ofPeer({ own: [record(seconds - 5, "203.0.113.7:39999")] }, "own-record", stun), /^ok/);
});

test("endpoint: what WireGuard has against what the peer says", () => {
  const other = at("198.51.100.8:5");
  assert.match(ofPeer({ reading: { endpoint: at("198.51.100.7:41000") } }, "endpoint"), /^ok/);
  assert.match(
    ofPeer({ reading: { endpoint: other } }, "endpoint"),
    /^warn: .*198\.51\.100\.8:5, but the peer says it is 198/,
  );
  const reading = { endpoint: other, latestHandshakeMs: NOW_MS - 1000 };
  assert.match(ofPeer({ reading }, "endpoint"), /^ok: .*where the peer was heard last$/);
  assert.match(ofPeer({ servedBy: undefined }, "endpoint"), /^warn: WireGuard has no endpoint/);
});
