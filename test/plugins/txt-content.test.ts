import assert from "node:assert/strict";
import { test } from "node:test";
import { parseTxtContent } from "../../src/plugins/txt-content.ts";

test("parseTxtContent understands bare, quoted and split texts", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["00ff", "00ff"],
    ["", ""],
    [" 00ff \n", "00ff"],
    ['"00ff"', "00ff"],
    ['"00" "ff"', "00ff"],
    ['"00""ff"', "00ff"],
    ['"00"\t "ff" ', "00ff"],
    ['""', ""],
    ['"a\\"b" "\\\\"', 'a"b\\'],
    ['"\\065\\066"', "AB"],
    [`"${"a".repeat(255)}" "bcd"`, `${"a".repeat(255)}bcd`],
    // No list of quoted strings: left as it is.
    ['"open', '"open'],
    ['a "b"', 'a "b"'],
    ['"a" b', '"a" b'],
  ];
  for (const [content, value] of cases) assert.equal(parseTxtContent(content), value, content);
});

test("parseTxtContent is done in no time with the worst that fits a record", () => {
  for (const text of ['"'.repeat(65_537), '"\\'.repeat(30_000), `${'"a" '.repeat(15_000)}x`]) {
    assert.equal(parseTxtContent(text), text.trim());
  }
});
