import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { settledWithin, withDeadline } from "../src/deadline.ts";
import { createFakeClock } from "./fakes/clock.ts";

const never = () => new Promise<never>(() => undefined);

function start() {
  const clock = createFakeClock();
  const stop = new AbortController();
  const options = { clock, timeoutMs: 5_000, signal: stop.signal, action: "ask the store" };
  return { clock, stop, options };
}

test("withDeadline hands on what the call resolves or rejects with, and keeps no timer", async () => {
  const { clock, options } = start();
  assert.equal(await withDeadline(options, async () => 7), 7);
  const failure = new Error("no");
  await assert.rejects(
    withDeadline(options, () => Promise.reject(failure)),
    failure,
  );
  await assert.rejects(
    withDeadline(options, () => {
      throw failure;
    }),
    failure,
  );
  assert.equal(clock.sleeping, 0);
  assert.equal(getEventListeners(options.signal, "abort").length, 0);
});

test("withDeadline ends a call that ignores its signal, and aborts the signal", async () => {
  const { clock, options } = start();
  let inner: AbortSignal | undefined;
  const call = withDeadline(options, (signal) => {
    inner = signal;
    return never();
  });
  const rejected = assert.rejects(call, {
    code: "TIMEOUT",
    message: "Cannot ask the store: no answer within 5 s",
  });
  await clock.advance(4_999);
  assert.equal(inner?.aborted, false);
  await clock.advance(1);
  await rejected;
  assert.equal(inner?.aborted, true);
  assert.equal(getEventListeners(options.signal, "abort").length, 0);
});

test("withDeadline ends with the caller's reason when aborted, before and during the call", async () => {
  const { clock, stop, options } = start();
  const call = withDeadline(options, never);
  stop.abort();
  await assert.rejects(call, { name: "AbortError" });
  let called = false;
  const late = withDeadline(options, async () => {
    called = true;
  });
  await assert.rejects(late, { name: "AbortError" });
  assert.equal(called, false);
  assert.equal(clock.sleeping, 0);
});

test("withDeadline drops what a call does after its deadline", async () => {
  const { clock, options } = start();
  let fail: (error: Error) => void = () => undefined;
  const call = withDeadline(options, () => new Promise((_, reject) => (fail = reject)));
  const rejected = assert.rejects(call, { code: "TIMEOUT" });
  await clock.advance(5_000);
  await rejected;
  // An unhandled rejection would fail this test.
  fail(new Error("too late"));
  await clock.advance(1);
  assert.equal(clock.sleeping, 0);
});

test("withDeadline works without a signal", async () => {
  const clock = createFakeClock();
  assert.equal(await withDeadline({ clock, timeoutMs: 1, action: "do it" }, async () => "done"), "done");
});

test("settledWithin ends with the promise, either way, and keeps no timer", async () => {
  const { clock, options } = start();
  const { signal } = options;
  await settledWithin(Promise.resolve(), { clock, ms: 1_000, signal });
  await settledWithin(Promise.reject(new Error("no")), { clock, ms: 1_000, signal });
  assert.equal(clock.sleeping, 0);
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("settledWithin ends after its time when the promise does not", async () => {
  const { clock, options } = start();
  let ended = false;
  const waiting = settledWithin(never(), { clock, ms: 1_000, signal: options.signal }).then(() => {
    ended = true;
  });
  await clock.advance(999);
  assert.equal(ended, false);
  await clock.advance(1);
  await waiting;
  assert.equal(ended, true);
});

test("settledWithin rejects when aborted", async () => {
  const { clock, stop, options } = start();
  const waiting = settledWithin(never(), { clock, ms: 1_000, signal: options.signal });
  stop.abort();
  await assert.rejects(waiting, { name: "AbortError" });
  await assert.rejects(settledWithin(Promise.resolve(), { clock, ms: 1_000, signal: options.signal }), {
    name: "AbortError",
  });
  assert.equal(clock.sleeping, 0);
});
