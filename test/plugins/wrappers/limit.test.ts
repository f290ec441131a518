import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { limitConcurrency } from "../../../src/plugins/wrappers/limit.ts";
import { noSignal } from "../../conformance/store.ts";
import { createFakeStore } from "../../fakes/store.ts";

function wrap(concurrency: number) {
  const inner = createFakeStore();
  inner.hold = true;
  return { inner, store: limitConcurrency(inner, { concurrency }) };
}

test("limitConcurrency() runs calls in order, at most so many at a time", async () => {
  const { inner, store } = wrap(2);
  const done = Promise.all([..."abcde"].map((key) => store.get(key, noSignal())));
  for (const started of ["ab", "abc", "abcd", "abcde", "abcde"]) {
    await setImmediate();
    assert.deepEqual(
      inner.calls,
      [...started].map((key) => `get ${key}`),
    );
    assert.ok(inner.held.length <= 2);
    inner.held[0]?.succeed();
  }
  await done;
});

test("limitConcurrency() gives the place of a failed call to the next", async () => {
  const { inner, store } = wrap(1);
  const first = assert.rejects(store.get("a", noSignal()), /broken/);
  const second = store.set("b", "v", noSignal());
  await setImmediate();
  inner.held[0]?.fail(new Error("broken"));
  await first;
  await setImmediate();
  inner.held[0]?.succeed();
  await second;
  assert.deepEqual(inner.calls, ["get a", "set b"]);
});

test("limitConcurrency() lets an aborted call leave the line at once", async () => {
  const { inner, store } = wrap(1);
  const first = store.get("a", noSignal());
  const controller = new AbortController();
  const reason = new Error("stop");
  const second = store.get("b", controller.signal);
  const third = store.get("c", noSignal());
  await setImmediate();
  controller.abort(reason);
  await assert.rejects(second, reason);
  await assert.rejects(store.get("d", controller.signal), reason);
  inner.held[0]?.succeed();
  await first;
  await setImmediate();
  inner.held[0]?.succeed();
  await third;
  assert.deepEqual(inner.calls, ["get a", "get c"]);
});

test("limitConcurrency() has all its places back after a storm", async () => {
  const { inner, store } = wrap(3);
  const calls = Array.from({ length: 100 }, (_, index) => {
    const controller = new AbortController();
    const call = store.get(String(index), controller.signal).catch(() => undefined);
    if (index % 3 === 0) controller.abort();
    return call;
  });
  for (let round = 0; round < 300 && inner.calls.length <= 100; round++) {
    await setImmediate();
    if (round % 2 === 0) inner.held[0]?.succeed();
    else inner.held.at(-1)?.fail(new Error("no"));
  }
  await Promise.all(calls);
  for (const key of "xyz") void store.get(key, noSignal());
  await setImmediate();
  assert.equal(inner.held.length, 3);
});
