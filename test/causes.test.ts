import assert from "node:assert/strict";
import { test } from "node:test";
import { clocksDiffer, foreignRecord, inOneSentence, noKeepalive, notOnDevice, portChanged } from "../src/causes.ts";

const nowMs = Date.UTC(2026, 10, 1);
const sequence = nowMs / 1000;

test("clocksDiffer finds a clock that is ahead by the future, one that is behind by a look before", () => {
  const text = (seen: Parameters<typeof clocksDiffer>[0]) => clocksDiffer(seen)?.text ?? "";
  assert.match(
    text({ sequence: sequence + 3600, seenAtMs: nowMs }),
    /from 60 min in the future: the clock of the peer is/,
  );
  assert.equal(text({ sequence: sequence + 240, seenAtMs: nowMs }), "");
  assert.equal(text({ sequence: sequence - 86_400, seenAtMs: nowMs }), "");
  const behind = { sequence: sequence - 3600, seenAtMs: nowMs };
  assert.match(
    text({ ...behind, absentAtMs: nowMs - 5_000 }),
    /new 60 min after its own date: the clock of the peer is/,
  );
  assert.equal(text({ ...behind, absentAtMs: nowMs - 3_500_000 }), "");
});

test("a cause is one sentence with what to do", () => {
  const causes = [
    noKeepalive(),
    foreignRecord("192.0.2.1:1 and [2001:db8::1]:1"),
    notOnDevice("aaaa=", []),
    portChanged({ from: 1, to: 2, at: "2026-11-01T00:00:00Z" }),
  ];
  for (const cause of causes) assert.match(inOneSentence(cause), /^[^;]+; .*[^.]$/);
});

test("notOnDevice names who is there instead, a few of them", () => {
  assert.match(notOnDevice("a=", ["b=", "c=", "d=", "e="]).hint, /; the device has b=, c=, d= instead$/);
  assert.doesNotMatch(notOnDevice("a=", []).hint, /instead/);
});
