import assert from "node:assert/strict";
import { test } from "node:test";
import { StunmeshError } from "../../src/errors.ts";
import { watchEach } from "../../src/plugins/watch-each.ts";
import { createFakeClock } from "../fakes/clock.ts";

function start(count: number, watchKey: Parameters<typeof watchEach>[0]["watchKey"]) {
  const clock = createFakeClock();
  const errors: unknown[] = [];
  const keys = Array.from({ length: count }, (_, index) => `key ${index}`);
  const handlers = { onChange: assert.fail, onError: (error: unknown) => errors.push(error) };
  return { clock, errors, watch: watchEach({ keys, handlers, clock, watchKey }) };
}

function untilAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

test("watchEach() watches 32 keys at most, each again when it returns, until closed", async () => {
  const calls = new Map<string, number>();
  const { clock, errors, watch } = start(100, async (key, signal) => {
    calls.set(key, (calls.get(key) ?? 0) + 1);
    if (calls.get(key) === 3) await untilAborted(signal);
    return undefined;
  });
  await clock.advance(0);
  assert.equal(calls.size, 32);
  assert.ok([...calls.values()].every((count) => count === 3));
  watch.close();
  await clock.advance(100_000);
  assert.equal(calls.size, 32);
  assert.deepEqual(errors, []);
  assert.equal(clock.sleeping, 0);
});

test("watchEach() tries again after 1 s, doubling up to a minute, and after what the service asks for", async () => {
  let calls = 0;
  let retryAfterMs: number | undefined;
  const { clock, errors, watch } = start(1, async () => {
    calls++;
    throw new StunmeshError("STORE_UNAVAILABLE", "down", { cause: retryAfterMs && { retryAfterMs } });
  });
  const expect = async (pauseMs: number) => {
    const before = calls;
    await clock.advance(pauseMs - 1);
    assert.equal(calls, before, `before ${pauseMs} ms`);
    await clock.advance(1);
    assert.equal(calls, before + 1, `after ${pauseMs} ms`);
  };
  for (const pauseMs of [1000, 2000, 4000, 8000, 16_000, 32_000]) await expect(pauseMs);
  retryAfterMs = 200_000;
  await expect(60_000);
  await expect(200_000);
  watch.close();
  await clock.advance(1_000_000);
  assert.equal(calls, 9);
  assert.deepEqual(errors, []);
});

test("watchEach() forgets earlier failures after a watch that lasted", async () => {
  let calls = 0;
  const { clock, watch } = start(1, async (_key, signal) => {
    calls++;
    if (calls === 4) await clock.sleep(60_000, signal);
    throw new StunmeshError("STORE_UNAVAILABLE", "down");
  });
  await clock.advance(7000 + 60_000);
  assert.equal(calls, 4);
  await clock.advance(1000);
  assert.equal(calls, 5);
  watch.close();
});

test("watchEach() gives up as a whole, once, when a service cannot be watched", async () => {
  const impossible = new StunmeshError("STORE_FAILED", "no");
  const { clock, errors } = start(5, async (key, signal) => (key === "key 3" ? impossible : untilAborted(signal)));
  await clock.advance(0);
  assert.deepEqual(errors, [impossible]);
  assert.equal(clock.sleeping, 0);
});
