import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { systemClock } from "../src/clock.ts";

test("systemClock tells the time", () => {
  assert.ok(Math.abs(systemClock.now() - Date.now()) < 1_000);
  const first = systemClock.monotonic();
  assert.ok(systemClock.monotonic() >= first);
});

test("sleep waits at least as long as it was told", async () => {
  const start = systemClock.monotonic();
  await systemClock.sleep(20);
  // Timers of Node count whole milliseconds.
  assert.ok(systemClock.monotonic() - start >= 19);
});

test("sleep of a time that is over resolves soon", async () => {
  await systemClock.sleep(0);
  await systemClock.sleep(-1_000);
  await systemClock.sleep(Number.NEGATIVE_INFINITY);
  assert.ok(true);
});

test("sleep of a time too long for a timer does not end at once", async () => {
  const stop = new AbortController();
  let ended = false;
  const sleeping = systemClock.sleep(2 ** 40, stop.signal).finally(() => {
    ended = true;
  });
  await systemClock.sleep(20);
  assert.equal(ended, false);
  stop.abort();
  await assert.rejects(sleeping, { name: "AbortError" });
});

test("sleep ends with the signal's reason, or an AbortError when that is no error", async () => {
  const reason = new Error("enough");
  const stop = new AbortController();
  const sleeping = systemClock.sleep(60_000, stop.signal);
  stop.abort(reason);
  await assert.rejects(sleeping, reason);
  await assert.rejects(systemClock.sleep(60_000, AbortSignal.abort(reason)), reason);
  await assert.rejects(systemClock.sleep(60_000, AbortSignal.abort("text")), { name: "AbortError" });
});

test("sleep leaves nothing at the signal", async () => {
  const { signal } = new AbortController();
  for (let run = 0; run < 20; run++) await systemClock.sleep(0, signal);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("the time since the machine was started goes on, where the system tells it", async () => {
  const before = systemClock.sinceBoot?.();
  assert.equal(before !== undefined, existsSync("/proc/uptime"));
  if (before === undefined) return;
  await systemClock.sleep(20);
  assert.ok((systemClock.sinceBoot?.() ?? 0) > before);
});
