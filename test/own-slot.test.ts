import assert from "node:assert/strict";
import { test } from "node:test";
import type { TransportAddress } from "../src/address.ts";
import { StunmeshError } from "../src/errors.ts";
import { createOwnSlot } from "../src/own-slot.ts";
import { createPeerState } from "../src/peer-state.ts";
import { sealRecord, storageKey } from "../src/record.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createPeerConfig, createReading } from "./fakes/device.ts";
import { createFaultyStore } from "./fakes/faulty-store.ts";
import { createFakeLog } from "./fakes/log.ts";

const mine: TransportAddress = { family: "ipv4", host: "203.0.113.7", port: 7 };
const other: TransportAddress = { family: "ipv4", host: "192.0.2.8", port: 8 };
const MESSAGE = "another host publishes with this interface's key";

function start() {
  const clock = createFakeClock();
  const store = createFaultyStore(clock);
  const log = createFakeLog();
  const stop = new AbortController();
  const underWay: Promise<void>[] = [];
  const stores = new Map([["store", { name: "store", store, dedup: true }]]);
  const slot = createOwnSlot({ stores, clock, log, track: (work) => underWay.push(work), signal: stop.signal });
  const device = createReading();
  const peer = createPeerState(createPeerConfig());
  const direction = { senderKey: device.publicKey, receiverKey: peer.config.publicKey };
  const key = storageKey(direction);
  peer.sequence = 1_000;
  peer.published.set("store", { endpoints: { ipv4: mine }, atMs: clock.monotonic(), storageKey: key, store });
  const put = (address: TransportAddress, sequence?: number) => {
    const record = { endpoints: { ipv4: address }, ...(sequence !== undefined && { sequence }) };
    store.values.set(key, [sealRecord(record, { ...direction, privateKey: device.privateKey })]);
  };
  /** Looks at the device every 5 s. */
  async function pass(seconds: number): Promise<void> {
    for (let s = 0; s < seconds; s += 5) {
      slot.looked(device, [peer]);
      await clock.advance(5_000);
    }
  }
  put(mine, 1_000);
  return { clock, store, log, stop, underWay, peer, put, pass, slot, device, key };
}

test("a peer that works, or has not been silent for long, costs no call", async () => {
  const { store, peer, pass } = start();
  peer.liveness = "alive";
  await pass(1_000);
  peer.liveness = "silent";
  await pass(20);
  peer.liveness = "alive";
  await pass(5);
  peer.liveness = "receiving";
  await pass(20);
  assert.deepEqual(store.calls, { get: 0, set: 0 });
});

test("a silent peer costs one call after 20 s and one every 5 min, also when it flaps", async () => {
  const { store, peer, pass } = start();
  await pass(25);
  assert.equal(store.calls.get, 1);
  await pass(290);
  assert.equal(store.calls.get, 1);
  await pass(15);
  assert.equal(store.calls.get, 2);
  for (let times = 0; times < 5; times++) {
    peer.liveness = "alive";
    await pass(5);
    peer.liveness = "silent";
    await pass(30);
  }
  assert.equal(store.calls.get, 2);
});

test("a record with our key that is not ours is said once, and forgotten when the peer or our record is back", async () => {
  const { log, peer, put, pass } = start();
  put(other, 1_001);
  await pass(25);
  assert.equal(peer.activity.foreign, "192.0.2.8:8");
  const [line] = log.find(MESSAGE, "warn");
  assert.deepEqual([line?.peer, line?.reason], [peer.config.name, "the store has 192.0.2.8:8"]);
  await pass(300);
  assert.equal(log.find(MESSAGE, "warn").length, 1);
  assert.equal(log.find(MESSAGE, "debug").length, 1);
  put(mine, 1_002);
  await pass(305);
  assert.equal(peer.activity.foreign, undefined);
  put(other, 1_003);
  await pass(305);
  assert.equal(peer.activity.foreign, "192.0.2.8:8");
  peer.liveness = "alive";
  await pass(5);
  assert.equal(peer.activity.foreign, undefined);
});

test("an older record of ours, junk, and a record without a number right after ours prove nothing", async () => {
  for (const sequence of [999, undefined]) {
    const { peer, put, pass } = start();
    put(other, sequence);
    await pass(25);
    assert.equal(peer.activity.foreign, undefined);
  }
  const { store, peer, pass, key } = start();
  store.values.set(key, ["00ff", "junk"]);
  await pass(25);
  assert.equal(peer.activity.foreign, undefined);
  const without = start();
  without.put(other);
  await without.pass(350);
  assert.equal(without.peer.activity.foreign, "192.0.2.8:8");
});

test("what was read while our record was written anew is not judged", async () => {
  const { store, peer, put, pass, clock, slot, device, key } = start();
  put(other, 1_001);
  store.mode = "slow";
  await pass(20);
  slot.looked(device, [peer]);
  await clock.advance(1_000);
  peer.published.set("store", { endpoints: { ipv4: mine }, atMs: clock.monotonic(), storageKey: key, store });
  await pass(10);
  assert.deepEqual([store.calls.get, peer.activity.foreign], [1, undefined]);
});

test("a store that hangs is given up after 10 s, one that fails is no warning, and stopping ends a call", async () => {
  const { store, log, stop, underWay, pass, clock } = start();
  store.mode = "hang";
  await pass(45);
  assert.equal(store.calls.get, 1);
  assert.match(log.find("own record not read", "debug")[0]?.err ?? "", /no answer within 10 s/);
  await pass(280);
  assert.equal(store.calls.get, 2);
  stop.abort();
  await clock.advance(0);
  await Promise.all(underWay);
  assert.equal(log.find("own record not read").length, 1);
});

test("nothing is looked for where nothing was published, or while it is being written", async () => {
  const { store, peer, pass } = start();
  peer.underWay.add("publish store");
  await pass(60);
  peer.underWay.clear();
  peer.published.clear();
  await pass(60);
  assert.equal(store.calls.get, 0);
});

test("an own place that is empty, holds something else or answers in something else is written again, when it had time", async () => {
  const old = (state: ReturnType<typeof start>) => state.put({ ...mine, port: 6 }, 999);
  const cases: readonly (readonly [string, boolean, (state: ReturnType<typeof start>) => void])[] = [
    ["as written", false, () => undefined],
    ["empty", true, ({ store, key }) => store.values.delete(key)],
    ["unreadable", true, ({ store, key }) => store.values.set(key, ["junk"])],
    ["rolled back", true, old],
    [
      "beside an older one",
      false,
      ({ store, key, ...state }) => {
        const now = store.values.get(key) ?? [];
        old({ store, key, ...state });
        store.values.set(key, [...(store.values.get(key) ?? []), ...now]);
      },
    ],
    [
      "a page for people",
      true,
      ({ store }) => {
        store.get = () => Promise.reject(new StunmeshError("STORE_REPLY_INVALID", "a page"));
      },
    ],
    // Nothing is known of what is there.
    [
      "away",
      false,
      ({ store }) => {
        store.mode = "fail";
      },
    ],
  ];
  for (const [what, isDoubted, change] of cases) {
    const state = start();
    change(state);
    // Just published: the store may still show what was there before.
    await state.pass(30);
    assert.equal(state.peer.published.get("store")?.isDoubted ?? false, false, what);
    await state.pass(310);
    assert.equal(state.peer.published.get("store")?.isDoubted ?? false, isDoubted, what);
  }
});

test("a publication under another key or in a store that was opened anew says nothing about this place", async () => {
  for (const other of [{ storageKey: "f".repeat(40) }, { store: createFaultyStore(createFakeClock()) }]) {
    const { store, peer, pass } = start();
    const written = peer.published.get("store");
    assert.ok(written);
    peer.published.set("store", { ...written, ...other });
    await pass(400);
    assert.equal(store.calls.get, 0);
  }
});
