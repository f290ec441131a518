import assert from "node:assert/strict";
import { test } from "node:test";
import { handshakeAgeMs } from "../src/handshake-age.ts";

const NOW_MS = 1_700_000_000_000;

for (const [name, latestMs, sinceBootMs, expected] of [
  ["a handshake a minute ago", NOW_MS - 60_000, 3_600_000, 60_000],
  ["one just after the start", NOW_MS - 59_000, 59_500, 59_000],
  ["one of a clock that was corrected back a little", NOW_MS + 800, 3_600_000, 0],
  ["one to come", NOW_MS + 5_000, 3_600_000, undefined],
  ["one from before the start", NOW_MS - 120_000, 59_500, undefined],
  ["one of 1970", 60_000, 300_000, undefined],
  ["one of yesterday where the start is not known", NOW_MS - 86_400_000, undefined, 86_400_000],
] as const) {
  test(`handshakeAgeMs: ${name}`, () => {
    assert.equal(handshakeAgeMs(latestMs, { nowMs: NOW_MS, sinceBootMs }), expected);
  });
}
