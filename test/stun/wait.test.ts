import assert from "node:assert/strict";
import { test } from "node:test";
import { waitAtMost } from "../../src/stun/wait.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { settle } from "../fakes/stun-world.ts";

const never = new AbortController().signal;

test("waitAtMost resolves as the promise does, or with undefined when time is up", async () => {
  const clock = createFakeClock();
  const wait = (ms: number) =>
    settle(
      clock,
      waitAtMost(
        clock.sleep(100).then(() => "done"),
        { clock, ms, signal: never },
      ),
    );
  assert.deepEqual(await wait(200), { value: "done", elapsedMs: 100 });
  assert.deepEqual(await wait(50), { value: undefined, elapsedMs: 50 });
  await clock.advance(50);
  assert.equal(clock.sleeping, 0, "no timer is left");
});

test("waitAtMost rejects as the promise does", async () => {
  const clock = createFakeClock();
  const failed = waitAtMost(Promise.reject(new Error("broken")), { clock, ms: 10, signal: never });
  await assert.rejects(failed, /broken/);
  assert.equal(clock.sleeping, 0);
});

test("waitAtMost rejects with the reason of its signal, aborted before or meanwhile", async () => {
  const clock = createFakeClock();
  const stop = new AbortController();
  const options = { clock, ms: 1000, signal: stop.signal };
  const waiting = waitAtMost(new Promise(() => undefined), options);
  const reason = new Error("stopped");
  stop.abort(reason);
  await assert.rejects(waiting, reason);
  await assert.rejects(waitAtMost(Promise.resolve(1), options), reason);
  assert.equal(clock.sleeping, 0);
});

/** Attempts that end after a time, and when each was started. */
