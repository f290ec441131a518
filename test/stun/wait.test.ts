import assert from "node:assert/strict";
import { test } from "node:test";
import { type Attempt, firstSuccess, waitAtMost } from "../../src/stun/wait.ts";
import { createFakeClock, type FakeClock } from "../fakes/clock.ts";
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
function createAttempts(clock: FakeClock, ends: readonly (readonly [number, string | undefined])[]) {
  const starts: number[] = [];
  const attempts = ends.map(
    ([ms, result]): Attempt<string> =>
      () => {
        starts.push(clock.monotonic());
        return clock.sleep(ms).then(() => result);
      },
  );
  return { starts, attempts };
}

test("firstSuccess starts the next attempt after the delay or at once after a failure, and takes the first success", async () => {
  const cases = [
    {
      ends: [
        [20, "a"],
        [20, "b"],
      ],
      value: "a",
      elapsedMs: 20,
      started: [0],
    },
    {
      ends: [
        [20, undefined],
        [20, "b"],
      ],
      value: "b",
      elapsedMs: 40,
      started: [0, 20],
    },
    {
      ends: [
        [9000, "a"],
        [20, "b"],
      ],
      value: "b",
      elapsedMs: 1020,
      started: [0, 1000],
    },
    {
      ends: [
        [1500, "a"],
        [900, "b"],
        [900, "c"],
      ],
      value: "a",
      elapsedMs: 1500,
      started: [0, 1000],
    },
    {
      ends: [
        [1500, undefined],
        [100, undefined],
        [900, "c"],
      ],
      value: "c",
      elapsedMs: 2000,
      started: [0, 1000, 1100],
    },
    {
      ends: [
        [10, undefined],
        [10, undefined],
      ],
      value: undefined,
      elapsedMs: 20,
      started: [0, 10],
    },
    {
      ends: [
        [3000, undefined],
        [10, undefined],
      ],
      value: undefined,
      elapsedMs: 3000,
      started: [0, 1000],
    },
    { ends: [], value: undefined, elapsedMs: 0, started: [] },
  ] as const;
  for (const { ends, value, elapsedMs, started } of cases) {
    const clock = createFakeClock();
    const { starts, attempts } = createAttempts(clock, ends);
    const settled = await settle(clock, firstSuccess(attempts, { clock, ms: 1000, signal: never }));
    assert.deepEqual(settled, { value, elapsedMs }, JSON.stringify(ends));
    assert.deepEqual(starts, started, JSON.stringify(ends));
  }
});

test("firstSuccess rejects as soon as one attempt does", async () => {
  const clock = createFakeClock();
  const attempts = [() => clock.sleep(5000).then(() => "a"), () => Promise.reject(new Error("no socket"))];
  const { error, elapsedMs } = await settle(clock, firstSuccess(attempts, { clock, ms: 1000, signal: never }));
  assert.match(String(error), /no socket/);
  assert.equal(elapsedMs, 1000);
});
