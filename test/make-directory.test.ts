/** makeDirectory. A read-only file system needs root: test/lab/state-disk.test.ts. */
import assert from "node:assert/strict";
import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { makeDirectory } from "../src/make-directory.ts";
import { temporaryDirectory } from "./plugins/fixtures.ts";

test("makeDirectory makes what is missing, and says what it made first", async (t) => {
  const top = await temporaryDirectory(t);
  assert.equal(await makeDirectory(join(top, "a", "b"), { mode: 0o700 }), join(top, "a"));
  assert.equal((await stat(join(top, "a", "b"))).mode & 0o777, 0o700);
  assert.equal(await makeDirectory(join(top, "a", "b"), { mode: 0o700 }), undefined);
});

test("makeDirectory says what is in the way", async (t) => {
  const top = await temporaryDirectory(t);
  await writeFile(join(top, "file"), "");
  await assert.rejects(makeDirectory(join(top, "file"), { mode: 0o700 }), { code: "EEXIST" });
  await assert.rejects(makeDirectory(join(top, "file", "x"), { mode: 0o700 }), { code: "ENOTDIR" });
});
