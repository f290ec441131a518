import assert from "node:assert/strict";
import { test } from "node:test";
import { MAX_VALUE_CHARS, withoutEnd, withoutLineEnds, withoutStart } from "../../src/plugins/value.ts";

test("withoutLineEnds cuts line ends at the end, and nothing else", () => {
  const cases = [
    ["0a", "0a"],
    ["0a\n", "0a"],
    ["0a\r\n\n\r", "0a"],
    ["\n0a", "\n0a"],
    ["a\nb\n", "a\nb"],
    ["0a \n", "0a "],
    ["\r\n", ""],
    ["", ""],
    [`${"\n".repeat(60_000)}x`, `${"\n".repeat(60_000)}x`],
  ] as const;
  for (const [text, value] of cases) assert.equal(withoutLineEnds(text), value, JSON.stringify(text.slice(0, 20)));
});

test("withoutLineEnds leaves alone what is too long to be a value", () => {
  const longest = `${"0".repeat(MAX_VALUE_CHARS - 1)}\n`;
  assert.equal(withoutLineEnds(longest).length, MAX_VALUE_CHARS - 1);
  assert.equal(withoutLineEnds(`0${longest}`), `0${longest}`);
});

test("withoutEnd and withoutStart cut their side only", () => {
  assert.equal(withoutEnd("..a.b..", "."), "..a.b");
  assert.equal(withoutStart("..a.b..", "."), "a.b..");
  for (const cut of [withoutEnd, withoutStart]) assert.equal(cut("...", "."), "");
});
