import assert from "node:assert/strict";
import { test } from "node:test";
import { editDistance, suggestSpelling } from "../../src/config/spelling.ts";

test("editDistance counts insertions, deletions, substitutions and swaps of neighbours", () => {
  assert.equal(editDistance("", ""), 0);
  assert.equal(editDistance("abc", ""), 3);
  assert.equal(editDistance("", "abc"), 3);
  assert.equal(editDistance("kitten", "sitting"), 3);
  assert.equal(editDistance("tpye", "type"), 1);
  assert.equal(editDistance("ca", "abc"), 3);
});

test("suggestSpelling finds the nearest word", () => {
  const known = ["refresh_interval", "poll_interval_max", "log", "stun", "interfaces", "plugins"];
  assert.equal(suggestSpelling("refresh_intervall", known), "refresh_interval");
  assert.equal(suggestSpelling("REFRESHINTERVAL", known), "refresh_interval");
  assert.equal(suggestSpelling("interface", known), "interfaces");
  assert.equal(suggestSpelling("sutn", known), "stun");
  assert.equal(suggestSpelling("logs", known), "log");
});

test("suggestSpelling suggests nothing that is far off", () => {
  assert.equal(suggestSpelling("colour", ["log", "stun"]), undefined);
  assert.equal(suggestSpelling("x", ["y"]), undefined);
  assert.equal(suggestSpelling("", ["a"]), undefined);
  assert.equal(suggestSpelling("a".repeat(100_000), ["a"]), undefined);
});
