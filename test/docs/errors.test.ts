/** docs/errors.md against the table in src/errors.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type ErrorCode, errorKinds } from "../../src/errors.ts";
import { codeRows, readText } from "./pages.ts";

const rows = codeRows(readText("docs/errors.md"));

test("docs/errors.md has exactly the codes of src/errors.ts, each once", () => {
  assert.deepEqual(rows.map(([code]) => code).toSorted(), Object.keys(errorKinds).toSorted());
});

test("docs/errors.md gives every code its exit status, whether it is fatal, its meaning and what to do", () => {
  for (const [code, exitCode, fatal, meaning, remedy] of rows) {
    const kind = errorKinds[code as ErrorCode];
    assert.deepEqual(
      { code, exitCode, fatal },
      { code, exitCode: `${kind.exitCode}`, fatal: kind.fatal ? "yes" : "no" },
    );
    assert.ok(meaning && remedy, `${code} has a meaning and a remedy`);
  }
});

test("docs/operations.md has every exit status there is", () => {
  const listed = [...readText("docs/operations.md").matchAll(/^\| (\d+) \|/gm)].map(([, status]) => Number(status));
  for (const { exitCode } of Object.values(errorKinds)) assert.ok(listed.includes(exitCode), `status ${exitCode}`);
});
