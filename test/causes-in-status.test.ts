/** Situations that keep peers apart, in a small world: status names the one cause. The lab has them with real packets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTransportAddress } from "../src/address.ts";
import type { Mapping } from "../src/diagnosis.ts";
import { StunmeshError } from "../src/errors.ts";
import { startInterfaceLoop } from "../src/interface-loop.ts";
import type { NatReport } from "../src/nat.ts";
import type { Discover } from "../src/own-address.ts";
import { sealRecord, storageKey } from "../src/record.ts";
import type { InterfaceStatus, PeerStatus } from "../src/status.ts";
import { createFakeClock, type FakeClock } from "./fakes/clock.ts";
import { createFaultyStore, type FaultyStore } from "./fakes/faulty-store.ts";
import { createFakeLog } from "./fakes/log.ts";
import { createWorld, type Host } from "./fakes/world.ts";

interface Options {
  readonly host: Host;
  readonly peer: Host;
  readonly clock: FakeClock;
  readonly store: FaultyStore;
  readonly publicKey?: Uint8Array;
  readonly mapping?: Mapping;
  /** Default: the truth about `host`, or nothing while it has no STUN. */
  readonly discover?: Discover;
  readonly observeMapping?: () => Promise<NatReport | undefined>;
}

function startLoop({ host, peer, clock, store, publicKey = peer.publicKey, mapping, ...some }: Options) {
  const stop = new AbortController();
  const log = createFakeLog();
  const loop = startInterfaceLoop(
    {
      config: {
        name: "wg0",
        protocol: "ipv4",
        capture: "auto",
        listenInterfaces: [],
        listenDefaultRoute: false,
        peers: [{ name: peer.name, publicKey, plugins: ["store"], protocol: "ipv4" }],
      },
      wireguard: host.wireguard,
      provoker: host.provoker,
      hostAddresses: () => ({ tunnel: [], all: [] }),
      async discover(_device, { family }) {
        const address = host.address[family];
        if (!host.stun || !address) throw new StunmeshError("STUN_NO_ANSWER", "Cannot discover: no answer");
        return { address, server: "198.51.100.10:3478", rttMs: 10 };
      },
      observeMapping: async () => mapping && { family: "ipv4", mapping, behavior: mapping },
      ...some,
      resolveTarget: async () => [],
      stores: new Map([["store", { name: "store", store, dedup: true }]]),
      clock,
      log,
      random: () => 0.5,
      refreshIntervalMs: 600_000,
      pollIntervalMaxMs: 30_000,
      fixedRetries: 3,
    },
    stop.signal,
  );
  return {
    log,
    refresh: () => loop.refresh("interval"),
    status: (): InterfaceStatus => loop.status(),
    peer(): PeerStatus {
      const [first] = loop.status().peers;
      assert.ok(first);
      return first;
    },
    async stop() {
      stop.abort();
      await loop.ended;
    },
  };
}

function createPair() {
  const clock = createFakeClock(Date.UTC(2026, 10, 1));
  const world = createWorld(clock);
  const [a, b] = [world.addHost("a"), world.addHost("b")];
  world.connect(a, b);
  return { clock, world, a, b, store: createFaultyStore(clock) };
}

test("a wrong key: one that is not on the device, and one that is nobody's", async () => {
  const { clock, world, a, b, store } = createPair();
  const nobody = world.addHost("nobody");
  const missing = startLoop({ clock, store, host: a, peer: b, publicKey: nobody.publicKey });
  await clock.advance(10_000);
  const why = missing.peer().why ?? "";
  assert.match(why, /^the peer is not on the device: no peer there has the public key .*; correct public_key/);
  assert.ok(why.includes(b.publicKey.toString("base64")) && why.includes(nobody.publicKey.toString("base64")));
  await missing.stop();
  world.connect(a, nobody);
  const wrong = startLoop({ clock, store, host: a, peer: b, publicKey: nobody.publicKey });
  const right = startLoop({ clock, store, host: b, peer: a });
  await clock.advance(30_000);
  for (const one of [wrong, right]) assert.match(one.peer().why ?? "", /published nothing .*wrong public key/);
  await wrong.stop();
  await right.stop();
});

test("a store that goes down later is the cause, though the peer's last record is known", async () => {
  const { clock, world, a, b, store } = createPair();
  const [one, two] = [startLoop({ clock, store, host: a, peer: b }), startLoop({ clock, store, host: b, peer: a })];
  await clock.advance(20_000);
  assert.equal(one.peer().state, "reachable");
  store.mode = "fail";
  await two.stop();
  b.up = false;
  world.rebind(b);
  await clock.advance(200_000);
  assert.match(one.peer().why ?? "", /^addresses cannot be exchanged, the store store does not work: .*told to fail; /);
  store.mode = "ok";
  await clock.advance(60_000);
  assert.match(one.peer().why ?? "", /^nothing comes back from /);
  await one.stop();
});

test("a record of another key is told from no record", async () => {
  const { clock, world, a, b, store } = createPair();
  const stranger = world.addHost("stranger");
  const slot = storageKey({ senderKey: b.publicKey, receiverKey: a.publicKey });
  const record = { endpoints: b.address, sequence: 1 };
  const direction = { senderKey: stranger.publicKey, receiverKey: a.publicKey };
  store.values.set(slot, [sealRecord(record, { ...direction, privateKey: stranger.privateKey })]);
  const one = startLoop({ clock, store, host: a, peer: b });
  await clock.advance(10_000);
  assert.match(one.peer().why ?? "", /^what the store store has of the peer cannot be used: .*not sealed.*new key/);
  await one.stop();
});

test("no STUN server answers: everything is blocked, or only STUN while the peer is heard", async () => {
  const { clock, world, a, b, store } = createPair();
  a.stun = false;
  const blocked = startLoop({ clock, store, host: a, peer: b });
  assert.match(blocked.peer().why ?? "", /not ready/);
  await clock.advance(10_000);
  assert.match(blocked.peer().why ?? "", /^no STUN server answers.*no peer is heard: UDP is blocked/);
  assert.equal(blocked.status().notes, undefined);
  assert.ok(blocked.status().discoveryError);
  await blocked.stop();

  a.stun = true;
  const [one, two] = [startLoop({ clock, store, host: a, peer: b }), startLoop({ clock, store, host: b, peer: a })];
  await clock.advance(40_000);
  a.stun = false;
  one.refresh();
  await clock.advance(5_000);
  assert.equal(one.status().notes, undefined);
  assert.ok(world.send(b, a));
  await clock.advance(5_000);
  assert.equal(one.peer().state, "reachable");
  assert.match(
    one.status().notes?.[0] ?? "",
    /^STUN is blocked, .*other UDP works \(b was just heard from\); try other/,
  );
  a.stun = true;
  one.refresh();
  await clock.advance(5_000);
  assert.equal(one.status().notes, undefined);
  await one.stop();
  await two.stop();
});

test("no keepalive is noted of a peer that works too, unless there is no NAT", async () => {
  for (const mapping of ["endpoint-independent", "no NAT"] as const) {
    const { clock, a, b, store } = createPair();
    a.keepaliveS = 0;
    const one = startLoop({ clock, store, host: a, peer: b, mapping });
    const two = startLoop({ clock, store, host: b, peer: a, mapping });
    await clock.advance(20_000);
    assert.equal(one.peer().state, "reachable");
    const notes = one.peer().notes ?? [];
    assert.deepEqual(
      notes.map((note) => note.slice(0, 12)),
      mapping === "no NAT" ? [] : ["no keepalive"],
    );
    assert.equal(two.peer().notes, undefined);
    await one.stop();
    await two.stop();
  }
});

test("a clock that is an hour off is noted, ahead or behind, until it is set", async () => {
  const { clock, a, b, store } = createPair();
  const direction = { senderKey: b.publicKey, receiverKey: a.publicKey };
  const publish = (aheadMs: number) => {
    const record = { endpoints: b.address, sequence: Math.floor((clock.now() + aheadMs) / 1000) };
    store.values.set(storageKey(direction), [sealRecord(record, { ...direction, privateKey: b.privateKey })]);
  };
  const one = startLoop({ clock, store, host: a, peer: b });
  const note = () => one.peer().notes?.join() ?? "";
  publish(-7_200_000);
  await clock.advance(10_000);
  assert.equal(note(), "");
  publish(-3_600_000);
  await clock.advance(40_000);
  assert.match(
    note(),
    /was new 60 min after its own date: the clock of the peer is behind, or this host's is ahead; set/,
  );
  publish(0);
  await clock.advance(40_000);
  assert.equal(note(), "");
  publish(3_600_000);
  await clock.advance(40_000);
  assert.match(note(), /from 60 min in the future: the clock of the peer is ahead, or this host's is behind; set both/);
  clock.jump(3_600_000);
  assert.equal(note(), "");
  await one.stop();
});

test("a listen port that changed is noted for 10 minutes, and is the cause while the peer is silent since", async () => {
  const { clock, world, a, b, store } = createPair();
  const [one, two] = [startLoop({ clock, store, host: a, peer: b }), startLoop({ clock, store, host: b, peer: a })];
  await clock.advance(20_000);
  await two.stop();
  b.up = false;
  a.listenPort = 40404;
  world.rebind(a);
  await clock.advance(5_000);
  const { device, notes } = one.status();
  assert.equal(device?.listenPort, 40404);
  assert.match(
    notes?.[0] ?? "",
    /^WireGuard's listen port changed from 51820 to 40404 at 2026-11-01T00:00:2\dZ; peers/,
  );
  await clock.advance(200_000);
  assert.match(
    one.peer().why ?? "",
    /^nothing comes back from \S+ since WireGuard's listen port changed from 51820 to/,
  );
  await clock.advance(600_000);
  assert.equal(one.status().notes, undefined);
  assert.match(one.peer().why ?? "", /^nothing comes back from \S+ the peer is off/);
  await one.stop();
});

test("a listen port that changed while the interface was gone is noted too", async () => {
  const { clock, a, b, store } = createPair();
  const one = startLoop({ clock, store, host: a, peer: b });
  await clock.advance(10_000);
  a.up = false;
  await clock.advance(10_000);
  a.listenPort = 40404;
  a.up = true;
  await clock.advance(5_000);
  assert.match(one.status().notes?.[0] ?? "", /changed from 51820 to 40404/);
  await one.stop();
});

test("two hosts with one key: the one that was overwritten says so", async () => {
  const { clock, a, b, store } = createPair();
  const one = startLoop({ clock, store, host: a, peer: b });
  await clock.advance(5_000);
  const direction = { senderKey: a.publicKey, receiverKey: b.publicKey };
  const endpoints = { ipv4: { family: "ipv4", host: "192.0.2.9", port: 9 } } as const;
  const record = { endpoints, sequence: clock.now() / 1000 };
  store.values.set(storageKey(direction), [sealRecord(record, { ...direction, privateKey: a.privateKey })]);
  await clock.advance(10_000);
  assert.match(one.peer().why ?? "", /published nothing/);
  await clock.advance(20_000);
  assert.match(
    one.peer().why ?? "",
    /^another host publishes with this host's key: the store has 192\.0\.2\.9:9, which this host did not write; two/,
  );
  assert.equal(one.log.find("another host publishes with this interface's key", "warn").length, 1);
  await one.stop();
});

test("an address that one server told and all others contradict is replaced at once, and the server named", async () => {
  const { clock, a, b, store } = createPair();
  const lie = { family: "ipv4", host: "198.18.0.9", port: 9 } as const;
  const contradicted = [{ server: "liar.example:3478", mapped: "198.18.0.9:9", why: "alone" }] as const;
  let isKnown = false;
  let discoveries = 0;
  const one = startLoop({
    ...{ clock, store, host: a, peer: b },
    async discover() {
      discoveries += 1;
      const address = isKnown ? a.address.ipv4 : lie;
      assert.ok(address);
      return { address, server: "192.0.2.1:3478", rttMs: 10 };
    },
    async observeMapping() {
      await clock.sleep(20);
      isKnown = true;
      return { family: "ipv4", mapping: "endpoint-independent", behavior: "endpoint-independent", contradicted };
    },
  });
  await clock.advance(2_000);
  assert.deepEqual(one.status().own.ipv4?.address, formatTransportAddress(a.address.ipv4 ?? lie));
  assert.match(one.status().notes?.join() ?? "", /the STUN server liar\.example:3478 alone says that this host is 198/);
  await clock.advance(2_000);
  assert.equal(discoveries, 2, "asked again once");
  await one.stop();
});

test("a STUN answer of no use, and no way to send: nothing is said of UDP that is not so", async () => {
  const { clock, a, b, store } = createPair();
  for (const [code, why] of [
    ["STUN_UNUSABLE", /^UDP works, but no STUN server is of use: 192\.0\.2\.1:3478: answered error 300; name other/],
    ["STUN_NOT_SENT", /^no STUN server could be asked: 192\.0\.2\.1:3478: answered error 300; look at this host's/],
    ["STUN_NAME_UNRESOLVED", /^no name of a STUN server can be resolved; repair DNS/],
    ["SYSTEM_CALL_FAILED", /^no STUN server could be asked: /],
  ] as const) {
    const message = "Cannot learn the mapped IPv4 address: 192.0.2.1:3478: answered error 300";
    const discover = () => Promise.reject(new StunmeshError(code, message));
    const one = startLoop({ clock, store, host: a, peer: b, discover });
    await clock.advance(10_000);
    assert.match(one.peer().why ?? "", why);
    assert.match(one.status().notes?.join() ?? "", why);
    await one.stop();
  }
});
