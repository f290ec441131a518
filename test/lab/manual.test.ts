/** The manual as man(1) takes it, which is another program here than on FreeBSD: mandoc has the stricter rules. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "../fixtures/path.ts";

const page = join(repositoryRoot, "packaging/man/stunmesh-ts.8");

test("mandoc finds nothing wrong with the manual", () => {
  const { status, stdout, stderr } = spawnSync("mandoc", ["-T", "lint", "-W", "warning", page], { encoding: "utf8" });
  assert.equal(stdout + stderr, "");
  assert.equal(status, 0);
});

test("the manual is readable in 80 columns", () => {
  const { stdout } = spawnSync("mandoc", ["-T", "ascii", "-O", "width=78", page], { encoding: "utf8" });
  const lines = stdout.replace(/.[\b]/g, "").split("\n");
  assert.ok(lines.length > 150);
  assert.deepEqual(
    lines.filter((line) => line.length > 80),
    [],
  );
});
