/** Whoever can write to the store, without a key: what he puts where, and what comes of it. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { formatTransportAddress, type TransportAddress } from "../../src/address.ts";
import { type Direction, sealRecord, storageKey } from "../../src/record.ts";
import { startFakeDaemon } from "../fakes/daemon.ts";
import type { Host } from "../fakes/world.ts";

const YEAR_S = 365 * 86_400;

function at(last: number): TransportAddress {
  return { family: "ipv4", host: `203.0.113.${last}`, port: 7 };
}

/** A daemon for two interfaces whose peers are away, so that everything is up to the store. */
async function attack(t: TestContext) {
  const world = await startFakeDaemon();
  const { clock, hosts, far, store, daemon, log, stop, ended } = world;
  const [host, other] = [hosts.get("wg0"), hosts.get("wg1")];
  const [peer, stranger] = [far.get("wg0"), far.get("wg1")];
  assert.ok(host && other && peer && stranger);
  peer.up = false;
  stranger.up = false;
  const seal = (from: Host, to: Host, last: number, sequence?: number) =>
    sealRecord(
      { endpoints: { ipv4: at(last) }, ...(sequence !== undefined && { sequence }) },
      { senderKey: from.publicKey, receiverKey: to.publicKey, privateKey: from.privateKey },
    );
  const slot: Direction = { senderKey: peer.publicKey, receiverKey: host.publicKey };
  t.after(async () => {
    stop.abort();
    await ended;
  });
  return {
    ...world,
    host,
    other,
    peer,
    stranger,
    seal,
    nowS: Math.floor(clock.now() / 1000),
    /** Fills the peer's place and gives time for a look; resolves with where WireGuard was told to send. */
    async put(...values: readonly string[]): Promise<string | undefined> {
      store.values.set(storageKey(slot), values);
      daemon.refresh("poll");
      await clock.advance(40_000);
      return host.writes.at(-1)?.endpoint;
    },
    codes: () => new Set(log.find("fetch failed").map(({ code }) => code)),
  };
}

test("records of other peers, other interfaces and the other direction are refused in a peer's place", async (t) => {
  const { put, seal, host, other, peer, stranger, nowS, codes } = await attack(t);
  assert.equal(await put(seal(peer, host, 70, nowS)), formatTransportAddress(at(70)));
  const attempts = [
    seal(stranger, other, 71, nowS + 50),
    seal(stranger, host, 72, nowS + 50),
    seal(peer, other, 73, nowS + 50),
    seal(peer, stranger, 74, nowS + 50),
    seal(host, peer, 75, nowS + 50),
  ];
  for (const value of attempts) assert.equal(await put(value), formatTransportAddress(at(70)));
  assert.deepEqual(codes(), new Set(["RECORD_UNREADABLE", "RECORD_REFLECTED"]));
  assert.equal(await put(...attempts, seal(peer, host, 76, nowS + 60)), formatTransportAddress(at(76)), "the good one");
});

test("a store that swaps what two peers published harms neither", async (t) => {
  const { put, seal, host, other, peer, stranger, store, nowS } = await attack(t);
  const mine = seal(peer, host, 70, nowS);
  const theirs = seal(stranger, other, 71, nowS);
  store.values.set(storageKey({ senderKey: stranger.publicKey, receiverKey: other.publicKey }), [mine]);
  assert.equal(await put(theirs), undefined);
  assert.equal(other.writes.length, 0);
  store.values.set(storageKey({ senderKey: stranger.publicKey, receiverKey: other.publicKey }), [theirs]);
  assert.equal(await put(mine), formatTransportAddress(at(70)));
  assert.equal(other.writes.at(-1)?.endpoint, formatTransportAddress(at(71)));
});

for (const ahead of [60, YEAR_S, 3_000_000_000]) {
  test(`a record from a clock that was ahead by ${ahead} s keeps its peer away for no longer than 5 minutes`, async (t) => {
    const { put, seal, host, peer, nowS, clock, codes } = await attack(t);
    const wrong = seal(peer, host, 70, nowS + ahead);
    const before = seal(peer, host, 69, nowS - 30);
    assert.equal(await put(before), formatTransportAddress(at(69)));
    assert.equal(await put(wrong), formatTransportAddress(at(70)));
    await clock.advance(300_000);
    const right = seal(peer, host, 71, Math.floor(clock.now() / 1000));
    assert.equal(await put(right), formatTransportAddress(at(71)));
    for (const old of [wrong, before]) assert.equal(await put(old), formatTransportAddress(at(71)));
    assert.ok(codes().has("RECORD_ROLLED_BACK"));
    assert.equal(await put(wrong, before, right), formatTransportAddress(at(71)));
  });
}

test("numbers that no clock can have made are refused", async (t) => {
  const { put, seal, host, peer, nowS, codes } = await attack(t);
  for (const sequence of [8_640_000_000_001, 2 ** 53 - 1, 2 ** 53, -1, 1.5, 1e300])
    assert.equal(await put(seal(peer, host, 70, sequence)), undefined, String(sequence));
  assert.deepEqual(codes(), new Set(["RECORD_INVALID"]));
  assert.equal(await put(seal(peer, host, 71, nowS)), formatTransportAddress(at(71)));
});

test("a store that takes its time does not bring back what was overtaken", async (t) => {
  const { put, seal, host, peer, store, daemon, clock, nowS } = await attack(t);
  assert.equal(await put(seal(peer, host, 70, nowS)), formatTransportAddress(at(70)));
  store.mode = "slow";
  store.values.set(storageKey({ senderKey: peer.publicKey, receiverKey: host.publicKey }), [
    seal(peer, host, 60, nowS - 900),
  ]);
  daemon.refresh("poll");
  await clock.advance(60_000);
  assert.equal(host.writes.at(-1)?.endpoint, formatTransportAddress(at(70)));
});

test("a reload while a store hangs neither waits for it nor forgets anything", async (t) => {
  const { put, seal, host, peer, store, daemon, clock, config, nowS } = await attack(t);
  assert.equal(await put(seal(peer, host, 70, nowS)), formatTransportAddress(at(70)));
  store.mode = "hang";
  daemon.refresh("poll");
  await clock.advance(1_000);
  const [wg0, wg1] = config().interfaces;
  assert.ok(wg0 && wg1);
  const changed = { ...wg0, peers: wg0.peers.map((one) => ({ ...one, description: "moved" })) };
  let isDone = false;
  const done = daemon.reload(config({ interfaces: [changed, wg1] })).then(() => {
    isDone = true;
  });
  await clock.advance(5_000);
  assert.ok(isDone);
  await done;
  store.mode = "ok";
  assert.equal(await put(seal(peer, host, 60, nowS - 900)), formatTransportAddress(at(70)));
});

test("a device that goes away right before a write, and comes back without the peer, gets none", async (t) => {
  const { seal, host, peer, store, daemon, clock, nowS } = await attack(t);
  store.values.set(storageKey({ senderKey: peer.publicKey, receiverKey: host.publicKey }), [
    seal(peer, host, 70, nowS),
  ]);
  const { setPeerEndpoints } = host.wireguard;
  let attempts = 0;
  // The interface goes away right before the write: as wg(8) says it.
  host.wireguard.setPeerEndpoints = async (...args) => {
    attempts++;
    host.up = false;
    host.peers.delete(peer);
    return setPeerEndpoints(...args);
  };
  daemon.refresh("poll");
  await clock.advance(10_000);
  assert.equal(attempts, 1);
  assert.deepEqual(host.writes, []);
  host.wireguard.setPeerEndpoints = setPeerEndpoints;
  host.up = true;
  await clock.advance(60_000);
  assert.deepEqual(host.writes, [], "the peer is not on it");
});
