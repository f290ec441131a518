import assert from "node:assert/strict";
import { test } from "node:test";
import { watchResume } from "../src/resume.ts";
import { createFakeClock } from "./fakes/clock.ts";

function setUp() {
  const clock = createFakeClock();
  const sleepsMs: number[] = [];
  const stop = new AbortController();
  const ended = watchResume({ clock, signal: stop.signal }, ({ sleptMs }) => sleepsMs.push(sleptMs));
  return { clock, sleepsMs, stop, ended };
}

test("watchResume notices a sleep during which the monotonic clock stood still", async () => {
  const { clock, sleepsMs } = setUp();
  await clock.advance(7_000);
  clock.jump(3_600_000);
  assert.deepEqual(sleepsMs, []);
  await clock.advance(2_000);
  assert.deepEqual(sleepsMs, [3_600_000]);
  await clock.advance(60_000);
  assert.deepEqual(sleepsMs, [3_600_000]);
});

test("watchResume notices a sleep during which the monotonic clock went on", async () => {
  const { clock, sleepsMs } = setUp();
  await clock.advance(7_000);
  await clock.stall(60_000);
  // It would have looked 1 s later.
  assert.deepEqual(sleepsMs, [59_000]);
  await clock.advance(60_000);
  assert.deepEqual(sleepsMs, [59_000]);
});

test("watchResume notices every sleep", async () => {
  const { clock, sleepsMs } = setUp();
  for (const sleptMs of [20_000, 30_000]) {
    clock.jump(sleptMs);
    await clock.advance(4_000);
  }
  assert.deepEqual(sleepsMs, [20_000, 30_000]);
});

test("watchResume takes a corrected wall clock and a busy machine for no sleep", async () => {
  const { clock, sleepsMs } = setUp();
  await clock.advance(3_000);
  for (const ms of [-86_400_000, -1_000, 500, 9_000, 10_000]) {
    clock.jump(ms);
    await clock.advance(2_000);
  }
  await clock.stall(9_000);
  // A clock that gains a little at each look never adds up to a sleep.
  for (let count = 0; count < 100; count++) {
    clock.jump(200);
    await clock.advance(2_000);
  }
  assert.deepEqual(sleepsMs, []);
});

test("watchResume ends when aborted, before and while it waits", async () => {
  const { clock, sleepsMs, stop, ended } = setUp();
  await clock.advance(3_000);
  clock.jump(60_000);
  stop.abort();
  await ended;
  assert.equal(clock.sleeping, 0);
  await watchResume({ clock, signal: stop.signal }, () => sleepsMs.push(0));
  assert.deepEqual(sleepsMs, []);
});
