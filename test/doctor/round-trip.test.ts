import assert from "node:assert/strict";
import { test } from "node:test";
import { createThrowAway, readBack } from "../../src/doctor/round-trip.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal } from "../conformance/store.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { createFaultyStore } from "../fakes/faulty-store.ts";

function start() {
  const clock = createFakeClock();
  const store = createFaultyStore(clock);
  async function write(throwAway = createThrowAway("host")) {
    await store.set(throwAway.keys[0], throwAway.value, noSignal());
    return throwAway;
  }
  async function read(throwAway: ReturnType<typeof createThrowAway>, from: Store = store) {
    const result = readBack(from, { ...throwAway, timeoutMs: 4_000, clock, signal: noSignal() });
    let isDone = false;
    void result.finally(() => {
      isDone = true;
    });
    for (let count = 0; !isDone && count < 100; count++) await clock.advance(100);
    return result;
  }
  return { store, write, read };
}

test("two runs that wrote to one place at the same time both get their own value back", async () => {
  const { store, write, read } = start();
  const one = await write();
  const other = await write({ ...createThrowAway("host"), keys: one.keys });
  assert.deepEqual(await Promise.all([read(one), read(other)]), [true, true]);
  assert.ok(store.values.size <= 2);
});

test("a store that shows what was there before for longer than we wait does not fail for it", async () => {
  const { store, write, read } = start();
  const mine = await write();
  const stale: Store = {
    ...store,
    get: async (key, signal) => (key === mine.keys[0] ? ["old"] : store.get(key, signal)),
  };
  assert.equal(await read(mine, stale), true);
});

test("a store that keeps nothing, or gives back something else everywhere, does not work", async () => {
  const { store, write, read } = start();
  const mine = await write();
  store.values.clear();
  assert.equal(await read(mine), false);
  assert.equal(store.calls.set, 1);
  assert.equal(await read(mine, { ...store, get: async () => ["other"] }), false);
  assert.equal(store.calls.set, mine.keys.length);
});

test("a hundred runs on a host leave few keys, and none of another host name", () => {
  const keys = (host: string) => new Set(Array.from({ length: 100 }, () => createThrowAway(host).keys).flat());
  const mine = keys("host");
  assert.ok(mine.size <= 16);
  assert.ok([...keys("other")].every((key) => !mine.has(key) && /^[0-9a-f]{40}$/.test(key)));
  const { keys: own } = createThrowAway("host");
  assert.equal(new Set(own).size, own.length);
});
