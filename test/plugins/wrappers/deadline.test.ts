import assert from "node:assert/strict";
import { test } from "node:test";
import { limitTime } from "../../../src/plugins/wrappers/deadline.ts";
import { noSignal } from "../../conformance/store.ts";
import { createFakeClock } from "../../fakes/clock.ts";
import { createFakeStore } from "../../fakes/store.ts";

function wrap() {
  const inner = createFakeStore();
  const clock = createFakeClock();
  return { inner, clock, store: limitTime(inner, { name: "mine", clock, timeoutMs: 30_000 }) };
}

test("limitTime() aborts and rejects a call that ignores its signal", async () => {
  const { inner, clock, store } = wrap();
  inner.hold = true;
  const get = assert.rejects(store.get("k", noSignal()), {
    code: "TIMEOUT",
    message: 'Cannot get from plugin "mine": no answer within 30 s',
  });
  const set = assert.rejects(store.set("k", "v", noSignal()), { message: /^Cannot set in plugin "mine": no answer/ });
  await clock.advance(29_999);
  assert.deepEqual(
    inner.held.map(({ signal }) => signal.aborted),
    [false, false],
  );
  await clock.advance(1);
  await Promise.all([get, set]);
  assert.deepEqual(
    inner.held.map(({ signal }) => signal.aborted),
    [true, true],
  );
});

test("limitTime() passes answers and leaves no timer", async () => {
  const { inner, clock, store } = wrap();
  await store.set("k", "v", noSignal());
  assert.deepEqual(await store.get("k", noSignal()), ["v"]);
  const error = new Error("no");
  inner.error = error;
  await assert.rejects(store.get("k", noSignal()), error);
  assert.equal(clock.sleeping, 0);
});

test("limitTime() rejects with the caller's reason when aborted", async () => {
  const { inner, clock, store } = wrap();
  inner.hold = true;
  const controller = new AbortController();
  const get = store.get("k", controller.signal);
  const reason = new Error("stop");
  controller.abort(reason);
  await assert.rejects(get, reason);
  assert.equal(inner.held[0]?.signal.aborted, true);
  assert.equal(clock.sleeping, 0);
});

test("limitTime() keeps watch and close", async () => {
  const { inner, store } = wrap();
  assert.equal(store.watch, inner.watch);
  await store.close?.();
  assert.ok(inner.isClosed);
});
