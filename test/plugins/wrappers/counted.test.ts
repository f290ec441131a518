import assert from "node:assert/strict";
import { test } from "node:test";
import { createStoreCounts } from "../../../src/plugins/index.ts";
import { countCalls } from "../../../src/plugins/wrappers/counted.ts";
import { createFakeClock } from "../../fakes/clock.ts";
import { createFakeStore } from "../../fakes/store.ts";

test("countCalls counts calls, failures and time, and no failure for a caller that stopped", async () => {
  const clock = createFakeClock();
  const counts = createStoreCounts();
  const inner = createFakeStore();
  const store = countCalls(inner, { counts, clock });
  const { signal } = new AbortController();
  await store.set("key", "value", signal);
  assert.deepEqual(await store.get("key", signal), ["value"]);
  inner.hold = true;
  const slow = store.get("key", signal);
  await clock.advance(1_500);
  inner.held[0]?.fail(new Error("no"));
  await assert.rejects(slow, /no/);
  assert.deepEqual([counts.calls, counts.failures, counts.ms, counts.lastFailure?.atMs], [3, 1, 1_500, 1_500]);
  const stopped = new AbortController();
  const stopping = store.get("key", stopped.signal);
  await clock.advance(0);
  stopped.abort();
  inner.held[0]?.fail(stopped.signal.reason);
  await assert.rejects(stopping, { name: "AbortError" });
  assert.deepEqual([counts.calls, counts.failures], [4, 1]);
});
