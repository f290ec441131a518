import assert from "node:assert/strict";
import { test } from "node:test";
import { escapeJson, printable, printableJson } from "../src/printable.ts";

/** What moves a cursor, ends a line, turns the reading direction or is half a character. */
const HOSTILE = "a\x1b[2Jb\x9bc\x85d\u2028e\u202ef\x07g\r\nh\x7fi\ud800j\u200bk";

test("printable() gives one line that nothing in it can move, and leaves text alone", () => {
  assert.equal(printable(HOSTILE), "a?[2Jb?c d e?f?g h?i?j?k");
  for (const text of ["", "Zürich 東京 🦊", "a b", "203.0.113.7:7 -> [2001:db8::1]:1"])
    assert.equal(printable(text), text);
});

test("printableJson() prints as ASCII controls would not, and is the same value", () => {
  const value = { name: HOSTILE, [HOSTILE]: ["Zürich 🦊", 1, null] };
  const text = printableJson(value);
  assert.doesNotMatch(text, /[\p{C}\p{Zl}\p{Zp}]/u);
  assert.deepEqual(JSON.parse(text), value);
  assert.equal(printableJson({ name: "Zürich 🦊" }), '{"name":"Zürich 🦊"}');
});

test("escapeJson() leaves colours and ends of lines, which are ours", () => {
  assert.equal(escapeJson('\x1b[32mINFO\x1b[39m {"a":"\x9b"}\n'), '\x1b[32mINFO\x1b[39m {"a":"\\u009b"}\n');
});
