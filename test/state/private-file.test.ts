import assert from "node:assert/strict";
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { readPrivateFile, removeLeftovers, replacePrivateFile } from "../../src/state/private-file.ts";
import { runNode } from "../platform/run-node.ts";
import { temporaryDirectory } from "../plugins/fixtures.ts";
import { builtModule } from "./built-module.ts";

test("replacePrivateFile writes for the owner only, under every umask and whatever was there", async (t) => {
  const directory = await temporaryDirectory(t);
  for (const umask of [0o000, 0o022, 0o077, 0o777]) {
    const path = join(directory, "file");
    await writeFile(path, "old");
    await chmod(path, 0o666);
    const { stderr } = await runNode(`
      import { replacePrivateFile } from "${builtModule("state/private-file")}";
      process.umask(${umask});
      await replacePrivateFile(${JSON.stringify(path)}, "umask ${umask}");
    `);
    assert.equal(stderr, "");
    assert.equal((await stat(path)).mode & 0o7777, 0o600);
    assert.equal(await readPrivateFile(path, 100), `umask ${umask}`);
  }
  assert.deepEqual(await readdir(directory), ["file"]);
});

test("replacePrivateFile replaces a symbolic link and leaves its target alone", async (t) => {
  const directory = await temporaryDirectory(t);
  const [path, target] = [join(directory, "file"), join(directory, "target")];
  await writeFile(target, "target");
  await symlink(target, path);
  await replacePrivateFile(path, "new");
  assert.equal(await readFile(target, "utf8"), "target");
  assert.equal(await readPrivateFile(path, 100), "new");
});

test("replacePrivateFile leaves nothing behind when it fails", async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, "file");
  await mkdir(join(path, "inside"), { recursive: true });
  await assert.rejects(replacePrivateFile(path, "new"), /EISDIR|ENOTEMPTY|EEXIST/);
  assert.deepEqual(await readdir(directory), ["file"]);
  await assert.rejects(replacePrivateFile(join(directory, "missing", "file"), "new"), { code: "ENOENT" });
});

test("removeLeftovers removes the temporary files of this file and no others", async (t) => {
  const directory = await temporaryDirectory(t);
  const others = [
    ".wg0.json.0123456789abcdef",
    ".wg0.json.0123.tmp",
    ".wg0.json.wg0.json.0123456789abcdef.tmp",
    ".wg1.json.0123456789abcdef.tmp",
    "wg0.json",
    "wg0.json.0123456789abcdef.tmp",
  ];
  const own = [".wg0.json.0123456789abcdef.tmp", ".wg0.json.ffffffffffffffff.tmp"];
  for (const name of [...others, ...own]) await writeFile(join(directory, name), "");
  await removeLeftovers(join(directory, "wg0.json"));
  assert.deepEqual((await readdir(directory)).sort(), [...others].sort());
  await removeLeftovers(join(directory, "missing", "wg0.json"));
});
