import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration } from "../src/duration.ts";

test("formatDuration speaks of the unit that matters", () => {
  const texts = [5_000, -5_000, 600_000, 7_200_000, 3 * 86_400_000].map(formatDuration);
  assert.deepEqual(texts, ["5 s", "5 s", "10 min", "2 h", "3 days"]);
});
