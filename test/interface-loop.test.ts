import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { test } from "node:test";
import { formatTransportAddress } from "../src/address.ts";
import type { PeerConfig } from "../src/config/types.ts";
import type { Mapping } from "../src/diagnosis.ts";
import { errorCode, StunmeshError } from "../src/errors.ts";
import { startInterfaceLoop } from "../src/interface-loop.ts";
import type { InterfaceLoop } from "../src/interface-loop-types.ts";
import type { Provoker } from "../src/provoke.ts";
import { sealRecord, storageKey } from "../src/record.ts";
import { createFakeClock, type FakeClock } from "./fakes/clock.ts";
import { createFaultyStore, type FaultyStore } from "./fakes/faulty-store.ts";
import { createFakeLog, type FakeLog } from "./fakes/log.ts";
import { createWorld, type Host } from "./fakes/world.ts";

interface Daemon {
  readonly log: FakeLog;
  /** Settles with what ended the daemon. */
  readonly ended: Promise<unknown>;
  stop(): Promise<unknown>;
  refresh: InterfaceLoop["refresh"];
  resume: InterfaceLoop["resume"];
  readonly discoveries: () => number;
}

interface StartOptions {
  readonly host: Host;
  readonly peers: readonly Host[];
  readonly store: FaultyStore;
  readonly refreshIntervalMs?: number;
  readonly dedup?: boolean;
  readonly expiresAfterMs?: number;
  readonly mapping?: Mapping;
  readonly peer?: Partial<PeerConfig>;
  readonly protocol?: "ipv4" | "ipv6" | "dualstack";
  readonly random?: number;
  /** Of the tunnel. */
  readonly addresses?: readonly string[];
  readonly provoker?: Provoker;
}

function startDaemon(clock: FakeClock, options: StartOptions): Daemon {
  const {
    host,
    peers,
    store,
    refreshIntervalMs = 600_000,
    dedup = false,
    mapping,
    protocol = "ipv4",
    random = 0.5,
    addresses = [],
    provoker = host.provoker,
  } = options;
  const log = createFakeLog();
  const abort = new AbortController();
  setMaxListeners(0, abort.signal);
  let discoveries = 0;
  const loop = startInterfaceLoop(
    {
      config: {
        name: "wg0",
        protocol,
        capture: "auto",
        listenInterfaces: [],
        listenDefaultRoute: false,
        peers: peers.map(({ name, publicKey }) => ({
          name,
          publicKey,
          plugins: ["store"],
          protocol: "ipv4",
          ...options.peer,
        })),
      },
      wireguard: host.wireguard,
      provoker,
      hostAddresses: () => ({ tunnel: addresses, all: addresses }),
      async discover(_device, { family, signal }) {
        discoveries++;
        await clock.sleep(10, signal);
        const address = host.address[family];
        if (!host.stun || !address) throw new StunmeshError("STUN_NO_ANSWER", "Cannot discover: no answer");
        return { address, server: "198.51.100.10:3478", rttMs: 10 };
      },
      observeMapping: async () => mapping && { family: "ipv4", mapping, behavior: mapping },
      stores: new Map([["store", { name: "store", store, dedup, expiresAfterMs: options.expiresAfterMs }]]),
      clock,
      log,
      random: () => random,
      refreshIntervalMs,
      pollIntervalMaxMs: 30_000,
      fixedRetries: 3,
      resolveTarget: async () => [],
    },
    abort.signal,
  );
  const ended = loop.ended.catch((error: unknown) => error);
  return {
    log,
    ended,
    discoveries: () => discoveries,
    refresh: loop.refresh,
    resume: loop.resume,
    stop() {
      abort.abort();
      return ended;
    },
  };
}

/** Two hosts that are peers, and one store. */
function createPair({ watchable = false } = {}) {
  const clock = createFakeClock(Date.UTC(2026, 10, 1));
  const world = createWorld(clock);
  const [a, b] = [world.addHost("a"), world.addHost("b")];
  world.connect(a, b);
  return { clock, world, a, b, store: createFaultyStore(clock, { watchable }) };
}

/** Moves time until `condition` holds; the milliseconds it took, at most `limitMs`. */
async function advanceUntil(clock: FakeClock, limitMs: number, condition: () => boolean): Promise<number> {
  const start = clock.monotonic();
  while (!condition()) {
    if (clock.monotonic() - start >= limitMs) assert.fail(`not within ${limitMs} ms: ${condition}`);
    await clock.advance(50);
  }
  return clock.monotonic() - start;
}

function startPair({ clock, a, b, store }: ReturnType<typeof createPair>, options: Partial<StartOptions> = {}) {
  return {
    one: startDaemon(clock, { host: a, peers: [b], store, ...options }),
    two: startDaemon(clock, { host: b, peers: [a], store, ...options }),
  };
}

test("two daemons that start together connect their hosts within 3 s", async () => {
  const pair = createPair();
  const { one, two } = startPair(pair);
  const tookMs = await advanceUntil(pair.clock, 3_000, () => pair.world.works(pair.a, pair.b));
  assert.ok(tookMs < 3_000);
  await advanceUntil(pair.clock, 1_000, () => one.log.find("peer reachable", "info").length === 1);
  assert.equal(await one.stop(), undefined);
  await two.stop();
});

test("a store that is watched brings the second host in at once", async () => {
  const pair = createPair({ watchable: true });
  const { clock, a, b, store, world } = pair;
  const one = startDaemon(clock, { host: a, peers: [b], store });
  await clock.advance(300_000);
  const two = startDaemon(clock, { host: b, peers: [a], store });
  await advanceUntil(clock, 500, () => world.works(a, b));
  assert.equal(a.writes.length, 1);
  await one.stop();
  await two.stop();
});

test("a peer that was off for 10 minutes is reachable within the poll cap of coming", async () => {
  const pair = createPair();
  const { clock, a, b, store, world } = pair;
  const one = startDaemon(clock, { host: a, peers: [b], store, refreshIntervalMs: 3_600_000 });
  await clock.advance(600_000);
  assert.equal(one.log.find("peer not reachable", "warn").length, 1);
  assert.match(one.log.find("peer not reachable")[0]?.hint ?? "", /published nothing/);
  const two = startDaemon(clock, { host: b, peers: [a], store, refreshIntervalMs: 3_600_000 });
  await advanceUntil(clock, 33_000, () => world.works(a, b));
  await one.stop();
  await two.stop();
});

test("a tunnel that works is never touched, and fifteen healthy minutes are silent", async () => {
  const pair = createPair();
  const { clock, a, b, world } = pair;
  const { one, two } = startPair(pair, { refreshIntervalMs: 10_000 });
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  await clock.advance(5_000);
  const writes = a.writes.length + b.writes.length;
  const lines = one.log.lines.filter(({ level }) => level !== "debug").length;
  for (let second = 0; second < 900; second += 10) {
    await clock.advance(10_000);
    assert.ok(world.send(a, b));
  }
  assert.equal(a.writes.length + b.writes.length, writes);
  assert.deepEqual(one.log.lines.filter(({ level }) => level !== "debug").slice(lines), []);
  await one.stop();
  await two.stop();
});

test("an idle tunnel is kept from dying and stays untouched", async () => {
  const pair = createPair();
  const { clock, a, b, world } = pair;
  const { one, two } = startPair(pair);
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  const writes = a.writes.length + b.writes.length;
  await clock.advance(1_200_000);
  assert.equal(one.log.find("tunnel is down").length, 0);
  assert.equal(a.writes.length + b.writes.length, writes);
  assert.ok(world.works(a, b));
  await one.stop();
  await two.stop();
});

test("after a store was out of order hosts find each other within the poll cap, whenever it ends", async () => {
  const ping = { intervalMs: 1_000, timeoutMs: 1_000 };
  for (let outageMs = 36_000; outageMs < 96_000; outageMs += 6_000) {
    const pair = createPair();
    const { clock, a, b, store, world } = pair;
    const one = startDaemon(clock, { host: a, peers: [b], store, peer: { ping: { ...ping, target: "10.99.0.2" } } });
    // With other chances, so that the two do not act at the same moments.
    const theirs = { host: b, peers: [a], store, random: 0 };
    const two = startDaemon(clock, { ...theirs, peer: { ping: { ...ping, target: "10.99.0.1" } } });
    await advanceUntil(clock, 3_000, () => world.works(a, b));
    await clock.advance(10_400);
    store.mode = "fail";
    world.rebind(a);
    await clock.advance(outageMs);
    assert.ok(!world.works(a, b));
    store.mode = "ok";
    await advanceUntil(clock, 31_000, () => world.works(a, b));
    await one.stop();
    await two.stop();
  }
});

test("a healthy tunnel is not touched by a store that fails, hangs, is slow, or holds bad records", async () => {
  const pair = createPair();
  const { clock, a, b, store, world } = pair;
  const { one, two } = startPair(pair, { refreshIntervalMs: 10_000 });
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  await clock.advance(2_000);
  const writes = a.writes.length + b.writes.length;
  const keyOfB = storageKey({ senderKey: b.publicKey, receiverKey: a.publicKey });
  const old = sealRecord(
    { endpoints: { ipv4: { family: "ipv4", host: "192.0.2.9", port: 9 } }, sequence: 1 },
    { senderKey: b.publicKey, receiverKey: a.publicKey, privateKey: b.privateKey },
  );
  for (const mode of ["fail", "hang", "slow"] as const) {
    store.mode = mode;
    await clock.advance(60_000);
  }
  store.mode = "ok";
  for (const values of [[], [""], ["garbage"], [old]]) {
    store.values.set(keyOfB, values);
    await clock.advance(5_000);
    assert.ok(world.works(a, b));
  }
  assert.equal(a.writes.length + b.writes.length, writes);
  await one.stop();
  await two.stop();
});

test("bad records are refused with one warning and the good one among them is found", async () => {
  const pair = createPair();
  const { clock, a, b, store } = pair;
  const direction = { senderKey: b.publicKey, receiverKey: a.publicKey };
  const reflected = sealRecord(
    { endpoints: { ipv4: { family: "ipv4", host: "192.0.2.66", port: 66 } }, sequence: 5 },
    { senderKey: a.publicKey, receiverKey: b.publicKey, privateKey: a.privateKey },
  );
  store.values.set(storageKey(direction), ["garbage", reflected]);
  const one = startDaemon(clock, { host: a, peers: [b], store });
  await clock.advance(60_000);
  assert.deepEqual(a.writes, []);
  assert.equal(one.log.find("fetch failed", "warn").length, 1);
  assert.equal(one.log.find("fetch failed", "warn")[0]?.code, "RECORD_UNREADABLE");
  const { ipv4 } = b.address;
  assert.ok(ipv4);
  const good = sealRecord({ endpoints: { ipv4 }, sequence: 6 }, { ...direction, privateKey: b.privateKey });
  store.values.set(storageKey(direction), ["garbage", reflected, good]);
  await advanceUntil(clock, 31_000, () => a.writes.length > 0);
  assert.deepEqual(a.writes, [{ peer: "b", endpoint: formatTransportAddress(ipv4) }]);
  await one.stop();
});

test("a rolled-back record is refused once a newer one was seen", async () => {
  const pair = createPair();
  const { clock, a, b, store } = pair;
  const direction = { senderKey: b.publicKey, receiverKey: a.publicKey };
  const seal = (host: string, sequence: number) =>
    sealRecord(
      { endpoints: { ipv4: { family: "ipv4", host, port: 9 } }, sequence },
      { ...direction, privateKey: b.privateKey },
    );
  store.values.set(storageKey(direction), [seal("192.0.2.2", 20)]);
  const one = startDaemon(clock, { host: a, peers: [b], store });
  await advanceUntil(clock, 1_000, () => a.writes.length === 1);
  store.values.set(storageKey(direction), [seal("192.0.2.1", 19)]);
  await clock.advance(60_000);
  assert.equal(a.writes.length, 1);
  assert.equal(one.log.find("fetch failed", "warn")[0]?.code, "RECORD_ROLLED_BACK");
  await one.stop();
});

test("a peer whose store call hangs does not delay another peer", async () => {
  const clock = createFakeClock(Date.UTC(2026, 10, 1));
  const world = createWorld(clock);
  const [a, b, c] = [world.addHost("a"), world.addHost("b"), world.addHost("c")];
  world.connect(a, b);
  world.connect(a, c);
  const store = createFaultyStore(clock);
  store.hanging.add(storageKey({ senderKey: a.publicKey, receiverKey: b.publicKey }));
  store.hanging.add(storageKey({ senderKey: b.publicKey, receiverKey: a.publicKey }));
  const one = startDaemon(clock, { host: a, peers: [b, c], store });
  const two = startDaemon(clock, { host: c, peers: [a], store });
  await advanceUntil(clock, 3_000, () => world.works(a, c));
  assert.equal(await one.stop(), undefined);
  await two.stop();
});

test("an interface that is missing is waited for, also when it goes away later", async () => {
  const pair = createPair();
  const { clock, a, b, store, world } = pair;
  a.up = false;
  const { one, two } = startPair(pair);
  await clock.advance(60_000);
  assert.equal(one.log.find("interface is not ready", "warn").length, 1);
  assert.match(one.log.find("interface is not ready")[0]?.err ?? "", /no such interface/);
  a.up = true;
  await advanceUntil(clock, 33_000, () => world.works(a, b));
  assert.equal(one.log.find("interface is ready", "info").length, 1);
  a.up = false;
  await clock.advance(10_000);
  a.up = true;
  a.listenPort = 40_404;
  world.rebind(a);
  const sets = store.calls.set;
  await advanceUntil(clock, 10_000, () => store.calls.set > sets);
  await one.stop();
  await two.stop();
});

test("a new listen port is noticed within 5 s and published at once", async () => {
  const pair = createPair();
  const { clock, a, b, world, store } = pair;
  const { one, two } = startPair(pair, { dedup: true });
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  await clock.advance(10_000);
  const sets = store.calls.set;
  a.listenPort = 40_404;
  world.rebind(a);
  await advanceUntil(clock, 6_000, () => store.calls.set > sets);
  assert.equal(one.log.find("device changed", "info").length, 1);
  await one.stop();
  await two.stop();
});

test("a change of the own address is published and both hosts find each other again", async () => {
  const pair = createPair();
  const { clock, a, b, world } = pair;
  const { one, two } = startPair(pair, { refreshIntervalMs: 10_000 });
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  world.rebind(a);
  // The next refresh of a finds the new address; a then sends to b, whose NAT lets it in only after b has sent to it.
  await advanceUntil(clock, 240_000, () => world.works(b, a));
  await one.stop();
  await two.stop();
});

test("without STUN the peer's record is still used, and discovery goes on", async () => {
  const pair = createPair();
  const { clock, a, b, world } = pair;
  a.stun = false;
  const { one, two } = startPair(pair);
  await advanceUntil(clock, 5_000, () => a.writes.length === 1);
  assert.equal(one.log.find("discovery failed", "warn").length, 1);
  a.stun = true;
  await advanceUntil(clock, 40_000, () => world.works(a, b));
  assert.equal(one.log.find("discovery works again", "info").length, 1);
  await one.stop();
  await two.stop();
});

test("a dual-stack host tries the other family when the first brings no handshake", async () => {
  const pair = createPair();
  const { clock, a, b, world } = pair;
  // IPv4 is published but leads nowhere: no NAT ever lets it in.
  for (const host of [a, b]) {
    host.opened.add = (source) => (source.startsWith("[") ? Set.prototype.add.call(host.opened, source) : host.opened);
  }
  const { one, two } = startPair(pair, { protocol: "dualstack", peer: { protocol: "prefer_ipv4" } });
  await clock.advance(3_000);
  assert.match(a.writes[0]?.endpoint ?? "", /^203/);
  await advanceUntil(clock, 60_000, () => world.works(a, b));
  assert.match(a.writes.at(-1)?.endpoint ?? "", /^\[2001:db8::2\]/);
  await one.stop();
  await two.stop();
});

test("a pair that cannot connect ends in one clear warning per host", async () => {
  const pair = createPair();
  const { clock, a, b } = pair;
  a.opened.add = () => a.opened;
  b.opened.add = () => b.opened;
  const { one, two } = startPair(pair, { mapping: "destination-dependent" });
  await clock.advance(300_000);
  assert.equal(one.log.find("peer not reachable", "warn").length, 1);
  assert.match(one.log.find("peer not reachable")[0]?.hint ?? "", /symmetric NAT/);
  assert.equal(one.log.find("peer reachable").length, 0);
  // The endpoint was written once: the record never changed.
  assert.equal(a.writes.length, 1);
  await one.stop();
  await two.stop();
});

test("a peer that is not on the device is named once and the others go on", async () => {
  const pair = createPair();
  const { clock, world, a, b, store } = pair;
  const stranger = world.addHost("stranger");
  const one = startDaemon(clock, { host: a, peers: [stranger, b], store });
  const two = startDaemon(clock, { host: b, peers: [a], store });
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  await clock.advance(30_000);
  const [line] = one.log.find("peer is missing", "warn");
  assert.equal(one.log.find("peer is missing", "warn").length, 1);
  assert.match(line?.err ?? "", /"stranger" is not on the device/);
  world.connect(a, stranger);
  await advanceUntil(clock, 6_000, () => one.log.find("peer is on the device", "info").length === 1);
  await one.stop();
  await two.stop();
});

test("an error that waiting cannot help ends the daemon", async () => {
  const pair = createPair();
  const { clock, a, b, store } = pair;
  a.wireguard.readDevice = async () => {
    throw new StunmeshError("PERMISSION_DENIED", "Cannot read the device: CAP_NET_ADMIN is missing");
  };
  const one = startDaemon(clock, { host: a, peers: [b], store });
  await clock.advance(100);
  assert.equal(errorCode(await one.ended), "PERMISSION_DENIED");
});

test("with dedup a quiet time costs no write, without it one per refresh", async () => {
  for (const dedup of [true, false]) {
    const pair = createPair();
    const { clock, a, b, world, store } = pair;
    const { one, two } = startPair(pair, { dedup, refreshIntervalMs: 60_000 });
    await advanceUntil(clock, 3_000, () => world.works(a, b));
    await clock.advance(5_000);
    const sets = store.calls.set;
    await clock.advance(1_200_000);
    const perHost = (store.calls.set - sets) / 2;
    if (dedup) assert.equal(perHost, 0);
    else assert.ok(perHost >= 19 && perHost <= 21, String(perHost));
    await one.stop();
    await two.stop();
  }
});

test("one discovery serves all peers of a round", async () => {
  const clock = createFakeClock(Date.UTC(2026, 10, 1));
  const world = createWorld(clock);
  const a = world.addHost("a");
  const others = Array.from({ length: 30 }, (_, index) => world.addHost(`p${index}`));
  for (const other of others) world.connect(a, other);
  const store = createFaultyStore(clock);
  const one = startDaemon(clock, { host: a, peers: others, store });
  await clock.advance(500);
  assert.equal(store.calls.set, 30);
  assert.equal(one.discoveries(), 1);
  await one.stop();
});

/** Both hosts ping the other's tunnel address every second. */
function startPingingPair(pair: ReturnType<typeof createPair>) {
  const { clock, a, b, store } = pair;
  const ping = { intervalMs: 1_000, timeoutMs: 1_000 };
  return {
    one: startDaemon(clock, { host: a, peers: [b], store, peer: { ping: { ...ping, target: "10.99.0.2" } } }),
    two: startDaemon(clock, { host: b, peers: [a], store, peer: { ping: { ...ping, target: "10.99.0.1" } } }),
  };
}

test("with pings a rebound NAT is recovered from within seconds, whichever side it is, and both at once", async () => {
  for (const rebound of ["a", "b", "ab"]) {
    const pair = createPair();
    const { clock, world, a, b } = pair;
    const { one, two } = startPingingPair(pair);
    await advanceUntil(clock, 3_000, () => world.works(a, b));
    await clock.advance(60_000);
    if (rebound.includes("a")) world.rebind(a);
    if (rebound.includes("b")) world.rebind(b);
    const tookMs = await advanceUntil(clock, 8_000, () => world.works(a, b));
    assert.ok(tookMs > 1_000, "a broken tunnel is not taken for a working one");
    await advanceUntil(clock, 3_000, () => one.log.find("peer reachable").length === 2);
    await one.stop();
    await two.stop();
  }
});

test("one lost ping changes nothing", async () => {
  const pair = createPair();
  const { clock, world, a, b, store } = pair;
  const { one, two } = startPingingPair(pair);
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  await clock.advance(10_000);
  const [writes, sets] = [a.writes.length + b.writes.length, store.calls.set];
  const { address } = b;
  b.address = {};
  await clock.advance(1_000);
  b.address = address;
  await clock.advance(30_000);
  assert.equal(one.log.find("tunnel is down").length, 0);
  assert.deepEqual([a.writes.length + b.writes.length, store.calls.set], [writes, sets]);
  await one.stop();
  await two.stop();
});

test("a restarted WireGuard gets its endpoint back at once, however rarely it is pinged", async () => {
  const pair = createPair();
  const { clock, world, a, b, store } = pair;
  const ping = { intervalMs: 120_000, timeoutMs: 1_000 };
  const one = startDaemon(clock, { host: a, peers: [b], store, peer: { ping: { ...ping, target: "10.99.0.2" } } });
  const two = startDaemon(clock, { host: b, peers: [a], store, peer: { ping: { ...ping, target: "10.99.0.1" } } });
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  await clock.advance(125_000);
  const entry = a.peers.get(b);
  assert.ok(entry?.endpoint, "WireGuard knew where the peer was");
  delete entry.endpoint;
  delete entry.latestHandshakeMs;
  entry.receivedBytes = 0;
  a.listenPort = 40_404;
  await advanceUntil(clock, 7_000, () => entry.endpoint !== undefined);
  await one.stop();
  await two.stop();
});

test("a ping target that never answers does not cost a tunnel that works", async () => {
  const pair = createPair();
  const { clock, world, a, b, store } = pair;
  a.peers.get(b)?.otherAllowedIps.push("192.0.2.1/32");
  const wrong = { target: "192.0.2.1", intervalMs: 1_000, timeoutMs: 1_000 };
  const one = startDaemon(clock, { host: a, peers: [b], store, peer: { ping: wrong } });
  const two = startDaemon(clock, { host: b, peers: [a], store });
  await advanceUntil(clock, 5_000, () => world.works(a, b));
  const writes = a.writes.length;
  // What the store has now is wrong, as for a peer behind a symmetric NAT: WireGuard knows better where the peer is.
  const direction = { senderKey: b.publicKey, receiverKey: a.publicKey };
  const endpoints = { ipv4: { family: "ipv4", host: "192.0.2.9", port: 9 } } as const;
  const misleading = sealRecord({ endpoints }, { ...direction, privateKey: b.privateKey });
  await two.stop();
  store.values.set(storageKey(direction), [misleading]);
  for (let second = 0; second < 120; second++) {
    world.send(b, a);
    await clock.advance(1_000);
  }
  assert.equal(one.log.find("tunnel is down").length, 1);
  assert.equal(one.log.find("record fetched", "info").length, 2);
  assert.equal(a.writes.length, writes);
  assert.ok(world.works(a, b));
  await one.stop();
});

/** A provoker as of a host that answers its own address itself, by which nothing enters the tunnel. */
function answeringItself({ provoker }: Host, own: string): Provoker & { readonly asked: Set<string> } {
  const asked = new Set<string>();
  return {
    asked,
    async provoke(request, signal) {
      asked.add(request.target);
      return request.target === own ? 1 : provoker.provoke(request, signal);
    },
  };
}

for (const { name, target, addresses, reason } of [
  {
    name: "this host's own",
    target: "10.99.0.1",
    addresses: ["10.99.0.1"],
    reason: /^10\.99\.0\.1 is an address of this/,
  },
  {
    name: "in no allowed IPs",
    target: "192.0.2.1",
    addresses: [],
    reason: /^192\.0\.2\.1 is in no peer's allowed IPs/,
  },
])
  test(`a ping target that is ${name} is not pinged, says nothing about the tunnel, and is warned of once`, async () => {
    const { clock, world, a, b, store } = createPair();
    const provoker = answeringItself(a, target);
    const ping = { target, intervalMs: 1_000, timeoutMs: 1_000 };
    const one = startDaemon(clock, { host: a, peers: [b], store, peer: { ping }, addresses, provoker });
    const two = startDaemon(clock, { host: b, peers: [a], store });
    await advanceUntil(clock, 5_000, () => world.works(a, b));
    await clock.advance(60_000);
    assert.ok(!provoker.asked.has(target));
    assert.equal(one.log.find("tunnel is down").length, 0);
    const warned = one.log.find("ping target is not pinged", "warn");
    assert.deepEqual(
      warned.map(({ level }) => level),
      ["warn"],
    );
    assert.match(String(warned[0]?.err), reason);
    // Found dead as if nothing were pinged.
    await two.stop();
    b.up = false;
    await advanceUntil(clock, 90_000, () => one.log.find("tunnel is down").length > 0);
    await one.stop();
  });

test("a ping that is answered while WireGuard receives nothing keeps no dead tunnel alive", async () => {
  const { clock, world, a, b, store } = createPair();
  a.peers.get(b)?.otherAllowedIps.push("10.98.0.1/32");
  const ping = { target: "10.98.0.1", intervalMs: 1_000, timeoutMs: 1_000 };
  const provoker = answeringItself(a, "10.98.0.1");
  const one = startDaemon(clock, { host: a, peers: [b], store, peer: { ping }, provoker });
  const two = startDaemon(clock, { host: b, peers: [a], store });
  await advanceUntil(clock, 5_000, () => world.works(a, b));
  await two.stop();
  b.up = false;
  await advanceUntil(clock, 90_000, () => one.log.find("tunnel is down").length > 0);
  assert.equal(one.log.find("ping is answered, but not through the tunnel").length, 1);
  await one.stop();
});

test("a quiet peer with keepalive is found dead and found again without pings configured", async () => {
  const pair = createPair();
  const { clock, world, a, b } = pair;
  const { one, two } = startPair(pair, { refreshIntervalMs: 3_600_000 });
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  await clock.advance(30_000);
  world.rebind(a);
  await advanceUntil(clock, 110_000, () => world.works(a, b));
  await one.stop();
  await two.stop();
});

test("without pings, a record that changed under a tunnel that died is acted on within 20 s", async () => {
  const pair = createPair({ watchable: true });
  const { clock, world, a, b } = pair;
  const { one, two } = startPair(pair, { refreshIntervalMs: 30_000 });
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  await clock.advance(10_000);
  world.rebind(a);
  one.refresh("change");
  await advanceUntil(clock, 20_000, () => world.works(a, b));
  await one.stop();
  await two.stop();
});

test("a record that changed under a tunnel that works costs no write", async () => {
  const pair = createPair({ watchable: true });
  const { clock, world, a, b, store } = pair;
  const { one, two } = startPair(pair, { refreshIntervalMs: 3_600_000 });
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  await clock.advance(10_000);
  const writes = a.writes.length + b.writes.length;
  two.refresh("failure");
  one.refresh("failure");
  await clock.advance(60_000);
  assert.ok(store.calls.set >= 4);
  assert.equal(a.writes.length + b.writes.length, writes);
  assert.equal(one.log.find("tunnel is down").length, 0);
  await one.stop();
  await two.stop();
});

test("a record is written again before a store forgets it, whatever refresh_interval and dedup say", async () => {
  const pair = createPair();
  const { clock, world, a, b, store } = pair;
  const expiresAfterMs = 600_000;
  const { one, two } = startPair(pair, { refreshIntervalMs: 7_200_000, dedup: true, expiresAfterMs });
  await advanceUntil(clock, 3_000, () => world.works(a, b));
  const set = store.set.bind(store);
  const times: number[] = [clock.monotonic()];
  const keyOfA = storageKey({ senderKey: a.publicKey, receiverKey: b.publicKey });
  store.set = (key, value, signal) => {
    if (key === keyOfA) times.push(clock.monotonic());
    return set(key, value, signal);
  };
  await clock.advance(3_600_000);
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  assert.ok(gaps.length >= 6, String(gaps.length));
  assert.ok(Math.max(...gaps) < expiresAfterMs, String(gaps));
  await one.stop();
  await two.stop();
});

/** Has `store` say that `from` is somewhere else: what a store says that somebody holds back, or a symmetric NAT. */
function mislead({ a, b, store }: ReturnType<typeof createPair>, port: number): void {
  const direction = { senderKey: b.publicKey, receiverKey: a.publicKey };
  const endpoints = { ipv4: { family: "ipv4", host: "198.51.100.99", port } } as const;
  const misleading = sealRecord({ endpoints }, { ...direction, privateKey: b.privateKey });
  store.values.set(storageKey(direction), [misleading]);
}

for (const ping of [undefined, { target: "10.99.0.2", intervalMs: 1_000, timeoutMs: 1_000 }])
  for (const jumpMs of [3_600_000, -3_600_000, 50 * 365 * 86_400_000])
    test(`a clock that is set by ${jumpMs / 3_600_000} h touches no tunnel that works, ${ping ? "pinged" : "not pinged"}`, async () => {
      const pair = createPair();
      const { clock, world, a, b } = pair;
      const one = startDaemon(clock, { host: a, peers: [b], store: pair.store, ...(ping && { peer: { ping } }) });
      const two = startDaemon(clock, { host: b, peers: [a], store: pair.store });
      await advanceUntil(clock, 5_000, () => world.works(a, b));
      await clock.advance(30_000);
      await two.stop();
      const writes = a.writes.length;
      mislead(pair, 9);
      clock.jump(jumpMs);
      one.resume(0);
      one.refresh("change");
      await clock.advance(60_000);
      assert.equal(a.writes.length, writes);
      assert.equal(one.log.find("tunnel is down").length, 0);
      assert.ok(world.works(a, b));
      await one.stop();
    });

test("a tunnel that died while the machine slept is back soon after", async () => {
  const { clock, world, a, b, store } = createPair();
  const pinged = (target: string) => ({ ping: { target, intervalMs: 1_000, timeoutMs: 1_000 } });
  const one = startDaemon(clock, { host: a, peers: [b], store, peer: pinged("10.99.0.2") });
  const two = startDaemon(clock, { host: b, peers: [a], store, peer: pinged("10.99.0.1") });
  await advanceUntil(clock, 5_000, () => world.works(a, b));
  await clock.advance(30_000);
  world.rebind(a);
  clock.jump(3_600_000);
  one.resume(0);
  one.refresh("change");
  await advanceUntil(clock, 25_000, () => world.works(a, b));
  await Promise.all([one.stop(), two.stop()]);
});

test("a session that ended while the machine slept is known to be over at the first look, one that did not is tried", async () => {
  const { clock, world, a, b, store } = createPair();
  const one = startDaemon(clock, { host: a, peers: [b], store });
  const two = startDaemon(clock, { host: b, peers: [a], store });
  await advanceUntil(clock, 5_000, () => world.works(a, b));
  await clock.advance(20_000);
  clock.jump(60_000);
  one.resume(60_000);
  await clock.advance(30_000);
  assert.equal(one.log.find("tunnel is down").length, 0);
  await two.stop();
  world.rebind(a);
  clock.jump(600_000);
  one.resume(600_000);
  await clock.advance(100);
  assert.equal(one.log.find("tunnel is down").length, 1);
  await one.stop();
});

for (const { name, jumpMs, sinceBootMs } of [
  { name: "before the machine was started", jumpMs: 50 * 365 * 86_400_000, sinceBootMs: 300_000 },
  { name: "to come", jumpMs: -3_600_000, sinceBootMs: undefined },
])
  test(`a tunnel whose handshake seems to be ${name} is tried at the start and not taken for dead, nor for alive`, async () => {
    const pair = createPair();
    const { clock, world, a, b, store } = pair;
    const first = startDaemon(clock, { host: a, peers: [b], store });
    const two = startDaemon(clock, { host: b, peers: [a], store });
    await advanceUntil(clock, 5_000, () => world.works(a, b));
    await first.stop();
    await two.stop();
    clock.jump(jumpMs);
    mislead(pair, 9);
    const writes = a.writes.length;
    const booted = { ...clock, sinceBoot: () => sinceBootMs };
    const one = startDaemon(booted, { host: a, peers: [b], store });
    await clock.advance(60_000);
    assert.equal(a.writes.length, writes);
    assert.equal(one.log.find("tunnel is down").length, 0);
    await one.stop();
    b.up = false;
    const again = startDaemon(booted, { host: a, peers: [b], store });
    await advanceUntil(clock, 20_000, () => again.log.find("tunnel is down").length === 1);
    await again.stop();
  });

test("a peer that says something else each second is not followed for ever, and one that moves a few times is", async () => {
  const pair = createPair({ watchable: true });
  const { clock, a, b, store } = pair;
  const one = startDaemon(clock, { host: a, peers: [b], store });
  await clock.advance(5_000);
  for (let second = 0; second < 600; second++) {
    mislead(pair, 1_000 + second);
    await clock.advance(1_000);
    if (second === 5) assert.ok(a.writes.length >= 2, "the first changes are followed");
  }
  assert.ok(a.writes.length <= 60, `${a.writes.length} writes in 10 minutes`);
  assert.ok(one.log.find("endpoint set").length <= 60);
  await one.stop();
});

for (const changing of [true, false])
  test(`a store that tells of ${changing ? "another" : "the same"} record ten times a second is asked about as often as one that is polled`, async () => {
    const pair = createPair({ watchable: true });
    const { clock, a, b, store } = pair;
    const one = startDaemon(clock, { host: a, peers: [b], store });
    await clock.advance(5_000);
    mislead(pair, 9);
    const key = storageKey({ senderKey: b.publicKey, receiverKey: a.publicKey });
    const before = store.calls.get;
    for (let tenth = 0; tenth < 3_000; tenth++) {
      if (changing) mislead(pair, 1_000 + tenth);
      for (const value of store.values.get(key) ?? []) await store.set(key, value, new AbortController().signal);
      await clock.advance(100);
    }
    assert.ok(store.calls.get - before <= 60, `${store.calls.get - before} looks at the store in 5 minutes`);
    assert.ok(a.writes.length <= 40, `${a.writes.length} writes in 5 minutes`);
    await one.stop();
  });

test("a record that is written ten times a second under a tunnel that works has it pinged little more often", async () => {
  const { clock, world, a, b, store } = createPair({ watchable: true });
  const ping = { target: "10.99.0.2", intervalMs: 10_000, timeoutMs: 1_000 };
  let pings = 0;
  const provoker: Provoker = {
    provoke(request, signal) {
      pings++;
      return a.provoker.provoke(request, signal);
    },
  };
  const one = startDaemon(clock, { host: a, peers: [b], store, peer: { ping }, provoker });
  const two = startDaemon(clock, { host: b, peers: [a], store });
  await advanceUntil(clock, 5_000, () => world.works(a, b));
  await clock.advance(30_000);
  pings = 0;
  const key = storageKey({ senderKey: b.publicKey, receiverKey: a.publicKey });
  for (let tenth = 0; tenth < 600; tenth++) {
    for (const value of store.values.get(key) ?? []) await store.set(key, value, new AbortController().signal);
    await clock.advance(100);
  }
  assert.ok(pings <= 30, `${pings} pings in a minute`);
  await Promise.all([one.stop(), two.stop()]);
});
