import assert from "node:assert/strict";
import { test } from "node:test";
import { afterProbe, createHealth, type Health, lossOf } from "../../src/health/verdict.ts";

/** The health after probes a second apart; undefined = lost. */
function after(results: readonly (number | undefined)[], begin: Health = createHealth(0)): Health {
  return results.reduce((health, rttMs, index) => afterProbe(health, rttMs, (index + 1) * 1000), begin);
}

test("a tunnel is up after the first answer, and since then", () => {
  const { verdict, sinceMs, rttMs, misses } = after([12, 14]);
  assert.deepEqual({ verdict, sinceMs, rttMs, misses }, { verdict: "up", sinceMs: 1000, rttMs: 14, misses: 0 });
});

test("two lost probes change nothing, the third makes it down, since then", () => {
  const healthy = after([10]);
  for (const results of [[undefined], [undefined, undefined]]) assert.equal(after(results, healthy).verdict, "up");
  const down = after([undefined, undefined, undefined, undefined], healthy);
  assert.deepEqual([down.verdict, down.sinceMs, down.misses, down.rttMs], ["down", 3000, 4, 10]);
});

test("without any answer it is not known, then down", () => {
  assert.equal(after([undefined, undefined]).verdict, "unknown");
  assert.equal(after([undefined, undefined, undefined]).verdict, "down");
});

test("one answer makes it up again, and misses count anew", () => {
  const health = after([10, undefined, undefined, undefined, 20, undefined]);
  assert.deepEqual([health.verdict, health.misses, health.rttMs], ["up", 1, 20]);
});

test("the loss is that of the last 60 probes", () => {
  assert.equal(lossOf(createHealth(0)), 0);
  assert.equal(lossOf(after([1, undefined, 1, undefined])), 0.5);
  const long = after([...Array<undefined>(40).fill(undefined), ...Array<number>(60).fill(1)]);
  assert.equal(long.results.length, 60);
  assert.equal(lossOf(long), 0);
});
