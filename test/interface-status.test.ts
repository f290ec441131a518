import assert from "node:assert/strict";
import { test } from "node:test";
import type { Mapping } from "../src/diagnosis.ts";
import { StunmeshError } from "../src/errors.ts";
import type { StateChange } from "../src/events.ts";
import { startInterfaceLoop } from "../src/interface-loop.ts";
import type { PeerStatus } from "../src/status.ts";
import { createFakeClock, type FakeClock } from "./fakes/clock.ts";
import { createFaultyStore, type FaultyStore } from "./fakes/faulty-store.ts";
import { createFakeLog } from "./fakes/log.ts";
import { createWorld, type Host } from "./fakes/world.ts";

interface Options {
  readonly clock: FakeClock;
  readonly host: Host;
  readonly peer: Host;
  readonly store: FaultyStore;
  readonly mapping?: Mapping;
  /** The NAT gives the peer another port than the STUN server. */
  readonly isSymmetric?: boolean;
}

function startLoop({ clock, host, peer, store, mapping, isSymmetric = false }: Options) {
  const stop = new AbortController();
  const changes: StateChange[] = [];
  const loop = startInterfaceLoop(
    {
      config: {
        name: "wg0",
        protocol: "ipv4",
        capture: "auto",
        listenInterfaces: [],
        listenDefaultRoute: false,
        peers: [{ name: peer.name, publicKey: peer.publicKey, plugins: ["store"], protocol: "ipv4" }],
      },
      wireguard: host.wireguard,
      provoker: host.provoker,
      hostAddresses: () => ({ tunnel: [], all: [] }),
      async discover(_device, { family }) {
        const address = host.address[family];
        if (!host.stun || !address) throw new StunmeshError("STUN_NO_ANSWER", "Cannot discover: no answer");
        const seen = isSymmetric ? { ...address, port: address.port + 1_000 } : address;
        return { address: seen, server: "198.51.100.10:3478", rttMs: 10.04 };
      },
      observeMapping: async () => mapping && { family: "ipv4", mapping, behavior: mapping, scope: "public" },
      resolveTarget: async () => [],
      stores: new Map([["store", { name: "store", store, dedup: true }]]),
      clock,
      log: createFakeLog(),
      random: () => 0.5,
      refreshIntervalMs: 600_000,
      pollIntervalMaxMs: 30_000,
      fixedRetries: 3,
      onState: (change) => changes.push(change),
    },
    stop.signal,
  );
  return {
    changes,
    status: loop.status,
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

test("status() of an interface that is not there, of a lost peer, and of a tunnel that works", async () => {
  const { clock, a, b, store } = createPair();
  a.up = false;
  const one = startLoop({ clock, host: a, peer: b, store, mapping: "endpoint-independent" });
  assert.equal(one.status().state, "waiting");
  await clock.advance(100);
  const away = one.status();
  assert.match(away.reason ?? "", /there is no such interface/);
  assert.deepEqual([away.peers[0]?.state, away.device], ["waiting", undefined]);
  assert.match(away.peers[0]?.why ?? "", /interface is not ready: .*no such interface/);

  a.up = true;
  await clock.advance(5_000);
  const ready = one.status();
  assert.deepEqual([ready.state, ready.reason, ready.device?.listenPort], ["ready", undefined, 51820]);
  const { discoveredAt, ...own } = ready.own.ipv4 ?? { discoveredAt: "" };
  assert.deepEqual(own, { address: `203.0.113.1:${a.address.ipv4?.port}`, server: "198.51.100.10:3478", rttMs: 10 });
  assert.ok(Date.parse(discoveredAt) > Date.UTC(2026, 10, 1));
  assert.equal(ready.mapping?.behavior, "endpoint-independent");
  assert.ok(ready.counters.discoveries >= 1 && ready.counters.discoveryFailures === 0);
  const lost = one.peer();
  assert.deepEqual([lost.state, lost.endpoint, lost.fetch?.result], ["unreachable", undefined, "absent"]);
  assert.match(lost.why ?? "", /published nothing/);
  assert.deepEqual(
    lost.published.map(({ plugin, addresses }) => [plugin, addresses[0]]),
    [["store", own.address]],
  );
  assert.equal(lost.next?.reason, "poll");
  assert.ok(Date.parse(lost.next?.at ?? "") >= clock.now());

  const two = startLoop({ clock, host: b, peer: a, store, mapping: "no NAT" });
  await clock.advance(40_000);
  const found = one.peer();
  assert.deepEqual([found.state, found.why, found.endpointFrom], ["reachable", undefined, "record"]);
  assert.equal(found.endpoint, `203.0.113.2:${b.address.ipv4?.port}`);
  assert.equal(found.record?.ipv4, found.endpoint);
  assert.equal(found.record?.nat, "no NAT");
  assert.equal(found.next?.reason, "interval");
  assert.ok(found.counters.endpointWrites >= 1 && found.counters.publishes >= 1 && found.counters.fetches >= 2);
  assert.deepEqual(
    one.changes.map(({ state, previous }) => `${previous} > ${state}`),
    ["waiting > unreachable", "unreachable > reachable"],
  );
  const text = JSON.stringify(one.status());
  assert.deepEqual(JSON.parse(text), one.status());
  for (const encoding of ["base64", "hex"] as const) assert.ok(!text.includes(a.privateKey.toString(encoding)));
  await two.stop();
  await one.stop();
});

test("status() says which store fails and why, until it works again", async () => {
  const { clock, a, b, store } = createPair();
  const one = startLoop({ clock, host: a, peer: b, store });
  store.mode = "fail";
  await clock.advance(5_000);
  const failing = one.peer();
  assert.equal(failing.publishError?.code, "STORE_FAILED");
  assert.match(failing.fetchError?.message ?? "", /told to fail/);
  assert.equal(failing.fetch?.result, "failed");
  assert.match(failing.why ?? "", /^addresses cannot be exchanged, the store store does not work: .*told to fail/);
  assert.ok(failing.counters.publishFailures > 0 && failing.counters.fetchFailures > 0);
  store.mode = "ok";
  await clock.advance(30_000);
  const healed = one.peer();
  assert.deepEqual([healed.publishError, healed.fetchError], [undefined, undefined]);
  await one.stop();
});

test("a symmetric NAT is named as the reason on both sides, and a record that says so is enough", async () => {
  const { clock, a, b, store } = createPair();
  const symmetric = { clock, store, isSymmetric: true };
  const one = startLoop({ ...symmetric, host: a, peer: b, mapping: "endpoint-independent" });
  const two = startLoop({ ...symmetric, host: b, peer: a, mapping: "destination-dependent" });
  await clock.advance(60_000);
  assert.equal(one.peer().record?.nat, "destination-dependent");
  assert.equal(two.peer().record?.nat, "endpoint-independent");
  assert.match(one.peer().why ?? "", /^the peer's NAT gives every destination another port .*forward/);
  assert.match(two.peer().why ?? "", /^the NAT in front of this host gives every destination another port .*forward/);
  await two.stop();
  await one.stop();
});
