import assert from "node:assert/strict";
import { test } from "node:test";
import { createDebounce } from "../src/debounce.ts";
import { createFakeClock } from "./fakes/clock.ts";

function setUp() {
  const clock = createFakeClock();
  const runsAtMs: number[] = [];
  const debounce = createDebounce({ clock, quietMs: 300, maxMs: 2_000 }, () => runsAtMs.push(clock.monotonic()));
  return { clock, runsAtMs, debounce };
}

test("createDebounce runs once, quietMs after the last call", async () => {
  const { clock, runsAtMs, debounce } = setUp();
  debounce.call();
  await clock.advance(200);
  debounce.call();
  debounce.call();
  await clock.advance(299);
  assert.deepEqual(runsAtMs, []);
  await clock.advance(1);
  assert.deepEqual(runsAtMs, [500]);
  await clock.advance(10_000);
  assert.deepEqual(runsAtMs, [500]);
  assert.equal(clock.sleeping, 0);
});

test("createDebounce does not let calls that go on postpone the run beyond maxMs", async () => {
  const { clock, runsAtMs, debounce } = setUp();
  for (let count = 0; count < 50; count++) {
    debounce.call();
    await clock.advance(100);
  }
  assert.deepEqual(runsAtMs, [2_000, 4_000]);
  await clock.advance(1_000);
  assert.deepEqual(runsAtMs, [2_000, 4_000, 5_200]);
});

test("createDebounce has one timer, however many calls there are", async () => {
  const { clock, runsAtMs, debounce } = setUp();
  for (let count = 0; count < 1_000; count++) debounce.call();
  assert.equal(clock.sleeping, 1);
  await clock.advance(300);
  assert.deepEqual(runsAtMs, [300]);
});

test("createDebounce takes a run back when cancelled, and goes on with the next call", async () => {
  const { clock, runsAtMs, debounce } = setUp();
  debounce.call();
  await clock.advance(100);
  debounce.cancel();
  assert.equal(clock.sleeping, 0);
  debounce.call();
  await clock.advance(299);
  assert.deepEqual(runsAtMs, []);
  await clock.advance(1);
  assert.deepEqual(runsAtMs, [400]);
  debounce.cancel();
  await clock.advance(1_000);
  assert.deepEqual(runsAtMs, [400]);
});

test("createDebounce runs again for a call made while it runs", async () => {
  const clock = createFakeClock();
  const runsAtMs: number[] = [];
  const debounce = createDebounce({ clock, quietMs: 300, maxMs: 2_000 }, () => {
    runsAtMs.push(clock.monotonic());
    if (runsAtMs.length === 1) debounce.call();
  });
  debounce.call();
  await clock.advance(1_000);
  assert.deepEqual(runsAtMs, [300, 600]);
});
