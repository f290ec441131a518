import assert from "node:assert/strict";
import { test } from "node:test";
import { configError, createReport, kindOf, quoteValue } from "../../src/config/report.ts";

test("quoteValue shows values short, quoted and harmless to a terminal", () => {
  assert.equal(quoteValue('a"b'), '"a\\"b"');
  assert.equal(quoteValue(5), "5");
  assert.equal(quoteValue([1]), "a list");
  assert.equal(quoteValue("x".repeat(100)), `"${"x".repeat(60)}..."`);
  assert.equal(quoteValue("\u001b[31m\u009b31m\u202e\n\u2028"), '"\\u001b[31m\\u{9b}31m\\u{202e}\\n\\u{2028}"');
});

test("kindOf names the kind of a value without showing it", () => {
  assert.deepEqual([null, undefined, [], {}, "x", 5, true].map(kindOf), [
    "nothing",
    "nothing",
    "a list",
    "a mapping",
    "a text",
    "a number",
    "a boolean",
  ]);
});

test("a report throws its errors in the order of the file, and keeps warnings apart", () => {
  const locate = (path: readonly (string | number)[]) => ({ line: path.length, column: 1 });
  const report = createReport({ file: "x", locate, lenient: false });
  report.throwErrors();
  report.error(["a", "b c", 0], "third");
  report.warn(["a"], "only a warning");
  report.error(["a"], "first");
  report.unknownKey(["a", "b"], "second");
  report.error(["a"], "first");
  assert.throws(() => report.throwErrors(), {
    code: "CONFIG_INVALID",
    message:
      'Cannot use the configuration "x": 3 errors\nx:1:1: a: first\nx:2:1: a.b: second\nx:3:1: a."b c"[0]: third',
  });
  assert.deepEqual(report.warnings, [{ text: "x:1:1: a: only a warning", position: { line: 1, column: 1 } }]);
});

test("configError has the code of its errors when they all have the same", () => {
  const error = (code: "SECRET_UNREADABLE" | "CONFIG_INVALID") => ({
    position: { line: 1, column: 1 },
    text: code,
    code,
  });
  assert.equal(configError("x", [error("SECRET_UNREADABLE")]).code, "SECRET_UNREADABLE");
  assert.equal(configError("x", [error("SECRET_UNREADABLE"), error("CONFIG_INVALID")]).code, "CONFIG_INVALID");
});
