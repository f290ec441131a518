import assert from "node:assert/strict";
import { test } from "node:test";
import { createActivity, lastingFailure, noteState, noteStoreCall } from "../src/activity.ts";

test("noteStoreCall counts, and keeps a failure until the same call of the same store goes well", () => {
  const activity = createActivity();
  const failure = (atMs: number) => ({ atMs, error: new Error(`at ${atMs}`) });
  noteStoreCall(activity, { what: "publish", store: "a", failure: failure(1) });
  noteStoreCall(activity, { what: "publish", store: "b", failure: failure(2) });
  noteStoreCall(activity, { what: "fetch", store: "a", failure: undefined });
  assert.equal(lastingFailure(activity, "publish")?.atMs, 2);
  assert.equal(lastingFailure(activity, "fetch"), undefined);
  noteStoreCall(activity, { what: "publish", store: "b", failure: undefined });
  assert.equal(lastingFailure(activity, "publish")?.atMs, 1);
  noteStoreCall(activity, { what: "publish", store: "a", failure: undefined });
  assert.equal(lastingFailure(activity, "publish"), undefined);
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
