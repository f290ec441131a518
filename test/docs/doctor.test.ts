/** docs/doctor.md against the table of checks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { checks } from "../../src/doctor/finding.ts";
import { chapter, codeRows, filesUnder, readText } from "./pages.ts";

test("docs/doctor.md has every check, in its order and words, and no other", () => {
  const rows = codeRows(chapter(readText("docs/doctor.md"), "What it looks at")).map(([id, what]) => [id, what]);
  assert.deepEqual(rows, Object.entries(checks));
});

test("every check is made somewhere", () => {
  const code = filesUnder("src/doctor")
    .filter((path) => !path.endsWith("finding.ts"))
    .map(readText)
    .join("\n");
  assert.deepEqual(
    Object.keys(checks).filter((id) => !code.includes(`"${id}"`)),
    [],
  );
});
