import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { describeError, StunmeshError } from "../../../src/errors.ts";
import { backOff } from "../../../src/plugins/wrappers/backoff.ts";
import { noSignal } from "../../conformance/store.ts";
import { createFakeClock } from "../../fakes/clock.ts";
import { createFakeStore } from "../../fakes/store.ts";

const down = new StunmeshError("STORE_UNAVAILABLE", 'Cannot get from plugin "mine": no route');

function wrap(random = () => 0) {
  const inner = createFakeStore();
  const clock = createFakeClock();
  const store = backOff(inner, { name: "mine", clock, random });
  const get = () => store.get("k", noSignal());
  return { inner, clock, store, get };
}

test("backOff() fails at once during the pause, naming the count, the wait and the reason", async () => {
  const { inner, clock, get } = wrap();
  inner.error = down;
  await assert.rejects(get(), down);
  const once = 'Cannot get from plugin "mine": failed once, next try in 1 s: Cannot get from plugin "mine": no route';
  await assert.rejects(get(), { code: "STORE_UNAVAILABLE", message: once });
  await clock.advance(1000);
  await assert.rejects(get(), down);
  await assert.rejects(get(), (error) => {
    assert.match(describeError(error), /failed 2 times, next try in 2 s: Cannot get from plugin "mine": no route$/);
    return true;
  });
  assert.equal(inner.calls.length, 2);
});

test("backOff() doubles the pause up to 10 s, less up to a quarter by chance", async () => {
  for (const [chance, pauses] of [
    [0, [1000, 2000, 4000, 8000, 10_000, 10_000]],
    [1, [750, 1500, 3000, 6000, 7500, 7500]],
  ] as const) {
    const { inner, clock, get } = wrap(() => chance);
    inner.error = new StunmeshError("TIMEOUT", "too late");
    for (const pause of pauses) {
      await assert.rejects(get(), { code: "TIMEOUT" });
      await clock.advance(pause - 1);
      await assert.rejects(get(), { code: "STORE_UNAVAILABLE" });
      await clock.advance(1);
    }
    assert.equal(inner.calls.length, pauses.length);
  }
});

test("backOff() starts anew after a success", async () => {
  const { inner, clock, get } = wrap();
  for (let round = 0; round < 3; round++) {
    inner.error = down;
    await assert.rejects(get(), down);
    await assert.rejects(get(), /failed once/);
    await clock.advance(1000);
    inner.error = undefined;
    assert.deepEqual(await get(), []);
  }
});

test("backOff() does not count failures of one key or of a stopped call", async () => {
  const { inner, store, get } = wrap();
  for (const code of ["STORE_FAILED", "STORE_REPLY_INVALID"] as const) {
    inner.error = new StunmeshError(code, "no");
    await assert.rejects(get(), { code });
    await assert.rejects(get(), { code });
  }
  inner.hold = true;
  const controller = new AbortController();
  const stopped = assert.rejects(store.get("k", controller.signal), down);
  await setImmediate();
  controller.abort();
  inner.held[0]?.fail(down);
  await stopped;
  inner.hold = false;
  inner.error = undefined;
  assert.deepEqual(await get(), []);
});

test("backOff() counts calls that fail together once", async () => {
  const { inner, get } = wrap();
  inner.hold = true;
  const calls = [get(), get(), get()].map((call) => assert.rejects(call, down));
  await setImmediate();
  for (const call of [...inner.held]) call.fail(down);
  await Promise.all(calls);
  await assert.rejects(get(), /failed once, next try in 1 s/);
});

test("backOff() lets one call try after the pause; the others wait for its outcome", async () => {
  for (const outcome of ["fail", "succeed"] as const) {
    const { inner, clock, get } = wrap();
    inner.error = down;
    await assert.rejects(get(), down);
    await clock.advance(1000);
    inner.error = undefined;
    inner.hold = true;
    const calls = [get(), get(), get()].map((call) => call.catch((error: unknown) => error));
    await setImmediate();
    assert.equal(inner.held.length, 1);
    if (outcome === "fail") {
      inner.held[0]?.fail(down);
      const [first, ...others] = await Promise.all(calls);
      assert.equal(first, down);
      for (const error of others) assert.match(String(error), /failed 2 times, next try in 2 s/);
      assert.equal(inner.calls.length, 2);
    } else {
      inner.held[0]?.succeed();
      await setImmediate();
      assert.equal(inner.held.length, 2);
      for (const call of [...inner.held]) call.succeed();
      assert.deepEqual(await Promise.all(calls), [[], [], []]);
    }
  }
});

test("backOff() passes the turn on when the trying call or a waiting one is stopped", async () => {
  const { inner, clock, store, get } = wrap();
  inner.error = down;
  await assert.rejects(get(), down);
  await clock.advance(1000);
  inner.error = undefined;
  inner.hold = true;
  const trying = new AbortController();
  const waiting = new AbortController();
  const first = assert.rejects(store.get("first", trying.signal), /stop 1/);
  const second = assert.rejects(store.get("second", waiting.signal), /stop 2/);
  const third = store.get("third", noSignal());
  await setImmediate();
  waiting.abort(new Error("stop 2"));
  await second;
  trying.abort(new Error("stop 1"));
  inner.held[0]?.fail(trying.signal.reason);
  await first;
  await setImmediate();
  assert.deepEqual(inner.calls.slice(1), ["get first", "get third"]);
  inner.held[0]?.succeed();
  await third;
});

test("backOff() comes back when the service asked for, not sooner, and in 5 minutes at the latest", async () => {
  for (const [retryAfterMs, chance, pauseMs] of [
    [30_000, 0, 30_000],
    [30_000, 1, 37_500],
    [500, 0, 1000],
    [86_400_000, 0, 300_000],
  ] as const) {
    const { inner, clock, get } = wrap(() => chance);
    const busy = new StunmeshError("STORE_UNAVAILABLE", "too many requests", { cause: { retryAfterMs } });
    inner.error = busy;
    await assert.rejects(get(), busy);
    inner.error = undefined;
    await clock.advance(pauseMs - 1);
    await assert.rejects(get(), { code: "STORE_UNAVAILABLE", message: /too many requests$/ });
    await clock.advance(1);
    assert.deepEqual(await get(), []);
  }
});

test("backOff() heeds the wish of a call that fails together with others", async () => {
  const { inner, clock, get } = wrap();
  inner.hold = true;
  const calls = [get(), get()].map((call) => assert.rejects(call));
  await setImmediate();
  const [first, second] = [...inner.held];
  first?.fail(down);
  second?.fail(new StunmeshError("STORE_UNAVAILABLE", "later", { cause: { retryAfterMs: 20_000 } }));
  await Promise.all(calls);
  inner.hold = false;
  await clock.advance(19_999);
  await assert.rejects(get(), /failed once, next try in 1 s/);
  await clock.advance(1);
  assert.deepEqual(await get(), []);
});

test("backOff() lets reading go on while writing fails, and the other way round", async () => {
  const { inner, store, clock, get } = wrap();
  const set = () => store.set("k", "v", noSignal());
  inner.error = down;
  await assert.rejects(set(), down);
  inner.error = undefined;
  await assert.rejects(set(), /Cannot set in plugin "mine": failed once/);
  assert.deepEqual(await get(), []);
  // Reading that works says nothing about writing.
  await assert.rejects(set(), /failed once/);
  await clock.advance(1000);
  await set();
  inner.error = down;
  await assert.rejects(get(), down);
  inner.error = undefined;
  await set();
  await assert.rejects(get(), /failed once/);
});

test("backOff() keeps both away from a service that said when to come back, in words that name no failure", async () => {
  const { inner, store, clock, get } = wrap();
  inner.error = new StunmeshError("STORE_UNAVAILABLE", "too many calls", { cause: { retryAfterMs: 30_000 } });
  await assert.rejects(store.set("k", "v", noSignal()), /too many calls/);
  inner.error = undefined;
  await assert.rejects(get(), /the service wants to be left alone, next try in 30 s: too many calls/);
  await clock.advance(30_000);
  assert.deepEqual(await get(), []);
});
