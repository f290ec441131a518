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

test("watchResume tells sleep from a clock that was set where the time since the start is known", async () => {
  const fake = createFakeClock();
  let asleepMs = 0;
  const clock = { ...fake, sinceBoot: () => fake.monotonic() + asleepMs };
  const resumes: unknown[] = [];
  const stop = new AbortController();
  const ended = watchResume({ clock, signal: stop.signal }, (resume) => resumes.push(resume));
  for (const ms of [3_600_000, -3_600_000, 1_700_000_000_000]) {
    fake.jump(ms);
    await fake.advance(4_000);
  }
  asleepMs = 60_000;
  fake.jump(60_000);
  await fake.advance(2_000);
  await fake.stall(62_000);
  assert.deepEqual(resumes, [
    { kind: "set", sleptMs: 3_600_000, missedMs: 0 },
    { kind: "set", sleptMs: 1_700_000_000_000, missedMs: 0 },
    { kind: "slept", sleptMs: 60_000, missedMs: 60_000 },
    { kind: "slept", sleptMs: 60_000, missedMs: 0 },
  ]);
  stop.abort();
  await ended;
});

test("watchResume does not know where it is not", async () => {
  const fake = createFakeClock();
  const resumes: unknown[] = [];
  const stop = new AbortController();
  const ended = watchResume({ clock: fake, signal: stop.signal }, (resume) => resumes.push(resume));
  fake.jump(3_600_000);
  await fake.advance(2_000);
  assert.deepEqual(resumes, [{ kind: "unknown", sleptMs: 3_600_000, missedMs: 0 }]);
  stop.abort();
  await ended;
});
