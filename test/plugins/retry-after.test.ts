import assert from "node:assert/strict";
import { test } from "node:test";
import { StunmeshError } from "../../src/errors.ts";
import { parseRetryAfter, readRetryAfter } from "../../src/plugins/retry-after.ts";

test("parseRetryAfter() reads seconds and the three forms of dates, and nothing else", () => {
  const nowMs = Date.UTC(1994, 10, 6, 8, 49, 7);
  const fields: readonly [string | undefined, number | undefined][] = [
    ["0", 0],
    ["120", 120_000],
    [" 5 ", 5000],
    ["Sun, 06 Nov 1994 08:49:37 GMT", 30_000],
    ["Sunday, 06-Nov-94 08:49:37 GMT", 30_000],
    ["Sun, 06 Nov 1994 08:00:00 GMT", 0],
    [undefined, undefined],
    ["", undefined],
    ["-1", undefined],
    ["1.5", undefined],
    ["soon", undefined],
    ["2026", 2_026_000],
    ["9999999999", undefined],
    ["Sunday, nonsense 08:49:37", undefined],
  ];
  for (const [field, wantedMs] of fields) assert.equal(parseRetryAfter(field, { nowMs }), wantedMs, field);
});

test("readRetryAfter() finds the wait on an error or one of its causes", () => {
  const error = new StunmeshError("STORE_UNAVAILABLE", "no", { cause: { retryAfterMs: 5 } });
  assert.equal(readRetryAfter(error), 5);
  assert.equal(readRetryAfter(new Error("outer", { cause: error })), 5);
  for (const other of [undefined, "text", new Error("no"), new Error("no", { cause: { retryAfterMs: "5" } })]) {
    assert.equal(readRetryAfter(other), undefined);
  }
  const circle = new Error("circle");
  circle.cause = circle;
  assert.equal(readRetryAfter(circle), undefined);
});
