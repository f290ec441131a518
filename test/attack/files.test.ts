/** The state directory, prepared by somebody else: nothing of his is read, and nothing of ours is written elsewhere. */
import assert from "node:assert/strict";
import { chmod, chown, link, mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openStateDirectory } from "../../src/state/directory.ts";
import { lockInterface } from "../../src/state/lock.ts";
import { readPrivateFile, replacePrivateFile } from "../../src/state/private-file.ts";
import { temporaryDirectory } from "../plugins/fixtures.ts";

const NOBODY = 65_534;

/** Gives `path` to somebody else; false when we are not root, who alone may. */
async function giveAway(path: string): Promise<boolean> {
  if (process.getuid?.() !== 0) return false;
  await chown(path, NOBODY, NOBODY);
  return true;
}

async function prepare(t: TestContext) {
  const directory = await temporaryDirectory(t);
  const precious = join(directory, "precious");
  await writeFile(precious, "kept", { mode: 0o640 });
  return {
    directory,
    precious,
    async assertUntouched() {
      assert.equal(await readFile(precious, "utf8"), "kept");
      assert.equal((await stat(precious)).mode & 0o777, 0o640);
    },
  };
}

test("a state directory that its group may write to, or that is another's, is not used", async (t) => {
  const { directory } = await prepare(t);
  const state = join(directory, "state");
  await mkdir(state);
  await chmod(state, 0o775);
  await assert.rejects(openStateDirectory(state), /its group may write to it: chmod 700 it$/);
  await chmod(state, 0o755);
  await openStateDirectory(state);
  if (await giveAway(state)) await assert.rejects(openStateDirectory(state), /it belongs to another user: chown it$/);
});

test("a lock that is a link is not taken, and what it leads to is left alone", async (t) => {
  const { directory, precious, assertUntouched } = await prepare(t);
  await link(precious, join(directory, "wg1.lock"));
  await assert.rejects(lockInterface({ directory, interface: "wg1" }), /it has another name as well \(a hard link\)$/);
  await symlink(precious, join(directory, "wg2.lock"));
  await assert.rejects(lockInterface({ directory, interface: "wg2" }), { code: "STATE_UNAVAILABLE" });
  await assertUntouched();
  await (await lockInterface({ directory, interface: "wg3" })).release();
});

test("a lock and a memory that are another's are not used", async (t) => {
  const { directory } = await prepare(t);
  const lock = join(directory, "wg1.lock");
  const memory = join(directory, "wg1.json");
  await writeFile(lock, "1\n", { mode: 0o600 });
  await writeFile(memory, "{}", { mode: 0o600 });
  assert.equal(await readPrivateFile(memory, 100), "{}");
  if (!(await giveAway(memory)) || !(await giveAway(lock))) return;
  await assert.rejects(lockInterface({ directory, interface: "wg1" }), /it belongs to another user$/);
  assert.equal(await readFile(lock, "utf8"), "1\n");
  await assert.rejects(readPrivateFile(memory, 100), /it belongs to another user$/);
});

test("a memory that is a hard link is not read, and replacing it leaves the other name alone", async (t) => {
  const { directory, precious, assertUntouched } = await prepare(t);
  const path = join(directory, "wg1.json");
  await link(precious, path);
  await chmod(precious, 0o640);
  await assert.rejects(readPrivateFile(path, 100), /it has another name as well \(a hard link\)$/);
  await replacePrivateFile(path, "new");
  assert.equal(await readPrivateFile(path, 100), "new");
  await assertUntouched();
});
