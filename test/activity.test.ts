import assert from "node:assert/strict";
import { test } from "node:test";
import { createActivity, lastingFailures, noteSequence, noteState, noteStoreCall } from "../src/activity.ts";

test("noteStoreCall counts, and keeps a failure until the same call of the same store goes well", () => {
  const activity = createActivity();
  const failure = (atMs: number) => ({ atMs, error: new Error(`at ${atMs}`) });
  noteStoreCall(activity, { what: "publish", store: "a", failure: failure(1) });
  noteStoreCall(activity, { what: "publish", store: "b", failure: failure(2) });
  noteStoreCall(activity, { what: "fetch", store: "a", failure: undefined });
  assert.equal(lastingFailures(activity, "publish")[0]?.atMs, 2);
  assert.equal(lastingFailures(activity, "fetch")[0], undefined);
  noteStoreCall(activity, { what: "publish", store: "b", failure: undefined });
  assert.equal(lastingFailures(activity, "publish")[0]?.atMs, 1);
  noteStoreCall(activity, { what: "publish", store: "a", failure: undefined });
  assert.equal(lastingFailures(activity, "publish")[0], undefined);
  const { publishes, publishFailures, fetches, fetchFailures } = activity.counters;
  assert.deepEqual([publishes, publishFailures, fetches, fetchFailures], [4, 2, 1, 0]);
});

test("noteState says what was before, once, and counts tunnels that die but not devices that go", () => {
  const activity = createActivity();
  const note = (name: Parameters<typeof noteState>[1]["name"], nowMs: number) => noteState(activity, { name, nowMs });
  assert.equal(note("unreachable", 1), "waiting");
  assert.equal(note("unreachable", 2), undefined);
  assert.equal(activity.state?.sinceMs, 1);
  assert.equal(note("reachable", 3), "unreachable");
  assert.equal(note("waiting", 4), "reachable");
  assert.equal(note("reachable", 5), "waiting");
  assert.equal(note("receiving", 6), "reachable");
  assert.equal(note("unreachable", 7), "receiving");
  assert.equal(activity.counters.downs, 1);
});

test("noteSequence knows when a number was not there yet only after a look that found an older one", () => {
  const activity = createActivity();
  const at = (atMs: number, setMs = 0) => ({ atMs, wallMs: 1_000_000 + atMs + setMs });
  const note = (sequence: number, now: ReturnType<typeof at>, isOnlyStore = true) => {
    noteSequence(activity, { sequence, now, isOnlyStore });
    activity.fetch = { ...now, result: "changed" };
    return activity.sequenceSeen;
  };
  activity.fetch = { ...at(1), result: "absent" };
  assert.deepEqual(note(7, at(10)), { sequence: 7, ...at(10) });
  assert.deepEqual(note(7, at(20)), { sequence: 7, ...at(10) });
  assert.deepEqual(note(8, at(30)), { sequence: 8, ...at(30), absentWallMs: 1_000_020 });
  assert.deepEqual(note(9, at(40), false), { sequence: 9, ...at(40) });
  assert.deepEqual(note(10, at(50, 3_600_000)), { sequence: 10, ...at(50, 3_600_000) });
  activity.fetch = { ...at(55), result: "failed" };
  assert.deepEqual(note(11, at(60)), { sequence: 11, ...at(60) });
});
