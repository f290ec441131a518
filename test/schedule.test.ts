import assert from "node:assert/strict";
import { test } from "node:test";
import { begin, createSchedule, finish, trigger } from "../src/schedule.ts";

const turn = { nowMs: 1_000, again: true, maxMs: 30_000, random: 0.5, fixedRetries: 3 };

test("a new schedule is not due", () => {
  const { busy, dueAtMs } = createSchedule();
  assert.equal(busy, false);
  assert.equal(dueAtMs, Number.POSITIVE_INFINITY);
});

test("trigger makes a peer due at once, and its next looks close together again", () => {
  const schedule = createSchedule();
  schedule.attempt = 7;
  trigger(schedule, { nowMs: 500, occasion: "interval" });
  assert.deepEqual(
    { ...schedule },
    {
      busy: false,
      dueAtMs: 500,
      occasion: "interval",
      attempt: 0,
      failing: false,
      beganAtMs: Number.NEGATIVE_INFINITY,
    },
  );
});

test("a trigger that asks for less does not take back one that asked for more", () => {
  const demands = ["poll", "change", "interval", "failure"] as const;
  for (const [low, first] of demands.entries()) {
    for (const [high, second] of demands.entries()) {
      const schedule = createSchedule();
      trigger(schedule, { nowMs: 1, occasion: first });
      trigger(schedule, { nowMs: 2, occasion: second });
      assert.equal(schedule.occasion, demands[Math.max(low, high)]);
    }
  }
});

test("begin says why, once", () => {
  const schedule = createSchedule();
  trigger(schedule, { nowMs: 500, occasion: "failure" });
  assert.equal(begin(schedule, turn.nowMs), "failure");
  assert.equal(schedule.busy, true);
  assert.equal(schedule.dueAtMs, Number.POSITIVE_INFINITY);
  finish(schedule, turn);
  assert.equal(begin(schedule, turn.nowMs), "poll");
});

test("finish comes again after growing delays up to the cap", () => {
  const schedule = createSchedule();
  const delays = Array.from({ length: 7 }, () => {
    begin(schedule, turn.nowMs);
    finish(schedule, turn);
    return schedule.dueAtMs - turn.nowMs;
  });
  assert.deepEqual(delays, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
});

test("the time a turn takes is part of the delay, but for a second", () => {
  const dueAfter = (tookMs: number, attempt: number) => {
    const schedule = { ...createSchedule(), attempt };
    begin(schedule, 1_000);
    finish(schedule, { ...turn, nowMs: 1_000 + tookMs });
    return schedule.dueAtMs - 1_000;
  };
  assert.equal(dueAfter(15_000, 9), 30_000);
  assert.equal(dueAfter(29_500, 9), 30_500);
  assert.equal(dueAfter(15_000, 0), 16_000);
});

test("finish of a peer that a health check found dead comes again in fixed steps first", () => {
  const schedule = createSchedule();
  schedule.failing = true;
  const delays = Array.from({ length: 6 }, () => {
    begin(schedule, turn.nowMs);
    finish(schedule, turn);
    return schedule.dueAtMs - turn.nowMs;
  });
  assert.deepEqual(delays, [2_000, 2_000, 2_000, 4_000, 8_000, 16_000]);
});

test("finish without need waits for the next trigger", () => {
  const schedule = createSchedule();
  begin(schedule, turn.nowMs);
  finish(schedule, { ...turn, again: false });
  assert.equal(schedule.busy, false);
  assert.equal(schedule.dueAtMs, Number.POSITIVE_INFINITY);
});

test("a trigger during a turn is kept for after it", () => {
  for (const again of [true, false]) {
    const schedule = createSchedule();
    begin(schedule, turn.nowMs);
    trigger(schedule, { nowMs: 900, occasion: "failure" });
    assert.equal(schedule.busy, true);
    finish(schedule, { ...turn, again });
    assert.equal(schedule.dueAtMs, 900);
    assert.equal(begin(schedule, turn.nowMs), "failure");
  }
});
