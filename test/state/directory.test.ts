import assert from "node:assert/strict";
import { chmod, mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { openStateDirectory, selectStateDirectory } from "../../src/state/directory.ts";
import { runNode } from "../platform/run-node.ts";
import { temporaryDirectory } from "../plugins/fixtures.ts";
import { builtModule } from "./built-module.ts";

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o7777;
}

test("selectStateDirectory prefers the configuration, then systemd's directory, then the system's place", () => {
  const select = (configured: string | undefined, stateDirectory: string | undefined, platform = "linux") =>
    selectStateDirectory({ configured, environment: { STATE_DIRECTORY: stateDirectory }, platform });
  assert.equal(select("/a", "/b:/c"), "/a");
  assert.equal(select(undefined, "/b:/c"), "/b");
  assert.equal(select(undefined, ":/c"), "/c");
  for (const none of [undefined, "", ":"]) {
    assert.equal(select(undefined, none), "/var/lib/stunmesh-ts");
    assert.equal(select(undefined, none, "freebsd"), "/var/db/stunmesh-ts");
    assert.equal(select(undefined, none, "darwin"), "/var/db/stunmesh-ts");
  }
});

test("openStateDirectory creates the directory and those above it, for the owner only", async (t) => {
  const directory = join(await temporaryDirectory(t), "lib", "stunmesh-ts");
  await openStateDirectory(directory);
  assert.equal(await modeOf(directory), 0o700);
  await openStateDirectory(directory);
});

test("openStateDirectory leaves the mode of a directory that exists", async (t) => {
  const directory = await temporaryDirectory(t);
  await chmod(directory, 0o2750);
  await openStateDirectory(directory);
  assert.equal(await modeOf(directory), 0o2750);
});

test("openStateDirectory creates with mode 700 under every umask", async (t) => {
  const directory = await temporaryDirectory(t);
  for (const umask of [0o000, 0o022, 0o077, 0o777]) {
    const path = join(directory, umask.toString(8));
    const { stderr, status } = await runNode(`
      import { openStateDirectory } from "${builtModule("state/directory")}";
      process.umask(${umask});
      await openStateDirectory(${JSON.stringify(path)});
    `);
    assert.equal(stderr, "");
    assert.equal(status, 0);
    assert.equal(await modeOf(path), 0o700);
  }
});

test("openStateDirectory says why a directory cannot be used", async (t) => {
  const directory = await temporaryDirectory(t);
  const file = join(directory, "file");
  const open = join(directory, "open");
  await writeFile(file, "");
  await mkdir(open);
  await chmod(open, 0o1777);
  for (const [path, why] of [
    [file, /: EEXIST: file already exists/],
    [join(file, "below"), /: ENOTDIR: not a directory/],
    ["relative", /: it is not an absolute path$/],
    [open, /: everybody may write to it: chmod 700 it$/],
    [join(directory, "x".repeat(300)), /: ENAMETOOLONG: /],
  ] as const) {
    await assert.rejects(openStateDirectory(path), (error: Error & { code?: string }) => {
      assert.equal(error.code, "STATE_UNAVAILABLE");
      assert.ok(error.message.startsWith(`Cannot use the state directory "${path}": `), error.message);
      assert.match(error.message, why);
      return true;
    });
  }
});
