import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { createWake } from "../src/wake.ts";
import { createFakeClock } from "./fakes/clock.ts";

function start() {
  const clock = createFakeClock();
  const stop = new AbortController();
  const wake = createWake(clock);
  let waits = 0;
  const wait = (ms: number) => wake.wait(ms, stop.signal).then(() => void waits++);
  return { clock, stop, wake, wait, waits: () => waits };
}

test("wait ends after its time", async () => {
  const { clock, wait, waits } = start();
  const waiting = wait(1_000);
  await clock.advance(999);
  assert.equal(waits(), 0);
  await clock.advance(1);
  await waiting;
  assert.equal(waits(), 1);
});

test("wake ends the wait under way, and many wakes are one", async () => {
  const { clock, wake, wait, waits } = start();
  const waiting = wait(1_000);
  wake.wake();
  wake.wake();
  await waiting;
  assert.equal(clock.sleeping, 0);
  void wait(1_000);
  await clock.advance(500);
  assert.equal(waits(), 1);
  await clock.advance(500);
  assert.equal(waits(), 2);
});

test("a wake that nobody waited for ends the next wait", async () => {
  const { wake, wait, waits } = start();
  wake.wake();
  await wait(1_000);
  assert.equal(waits(), 1);
});

test("wait rejects with the signal's reason, also when woken before", async () => {
  const { clock, stop, wake, wait } = start();
  const waiting = wait(1_000);
  stop.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  wake.wake();
  await assert.rejects(wait(1_000), { name: "AbortError" });
  assert.equal(clock.sleeping, 0);
});

test("waits leave nothing at the signal", async () => {
  const { clock, stop, wait } = start();
  for (let run = 0; run < 10; run++) {
    const waiting = wait(1);
    await clock.advance(1);
    await waiting;
  }
  assert.equal(getEventListeners(stop.signal, "abort").length, 0);
});
