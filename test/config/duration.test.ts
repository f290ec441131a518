import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_DURATION_MS, parseDuration } from "../../src/config/duration.ts";

const durations: Readonly<Record<string, number>> = {
  "30s": 30_000,
  "10m": 600_000,
  "1m30s": 90_000,
  "1h2m3s4ms": 3_723_004,
  "1.5h": 5_400_000,
  ".5s": 500,
  "1.s": 1000,
  "+2s": 2000,
  "500ms": 500,
  "1.1s": 1100,
  "1.001s": 1001,
  "60ns": 1,
  "1us": 1,
  "1µs": 1,
  "1μs": 1,
  "1500us": 2,
  "1s1ns": 1001,
  "576h": MAX_DURATION_MS,
};

for (const [text, ms] of Object.entries(durations)) {
  test(`parseDuration reads ${text}`, () => assert.deepEqual(parseDuration(text), { ms }));
}

const problems: Readonly<Record<string, RegExp>> = {
  "": /"" is not a duration/,
  "60": /^"60" has no unit: write 60s$/,
  "1.5": /has no unit: write 1\.5s/,
  "0": /must be more than 0/,
  "-5": /must be more than 0/,
  "0s": /must be more than 0/,
  "-5s": /must be more than 0/,
  "0.1ns": /must be more than 0/,
  "1d": /is not a duration/,
  "1 s": /is not a duration/,
  " 1s": /is not a duration/,
  "10 minutes": /is not a duration/,
  "1S": /is not a duration/,
  s: /is not a duration/,
  ".s": /is not a duration/,
  "1m-30s": /is not a duration/,
  "576h1ms": /is too long: at most 24 days/,
  "99999999999999999999999h": /is too long/,
  [`${"9".repeat(400)}h`]: /is too long/,
  ["1s".repeat(100_000)]: /^"1s1s/,
  ["1".repeat(100_000)]: /has no unit/,
  // Each number could be read in two ways: with 40 of them that did not end.
  [`${"11s".repeat(40)}x`]: /is not a duration/,
  [`${"1.1.".repeat(25_000)}`]: /is not a duration/,
  "1.s.": /is not a duration/,
};

for (const [text, problem] of Object.entries(problems)) {
  test(`parseDuration refuses ${JSON.stringify(text.slice(0, 30))}`, () => {
    const duration = parseDuration(text);
    if ("ms" in duration)
      assert.equal(duration.ms, 100_000_000); // 100,000 times one second
    else assert.match(duration.problem, problem);
  });
}
