import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { findConfig } from "../../src/config/search.ts";

const root = mkdtempSync(join(tmpdir(), "config-search-"));
after(() => rmSync(root, { recursive: true }));

function place(path: string): string {
  const full = join(root, path);
  mkdirSync(join(full, ".."), { recursive: true });
  writeFileSync(full, "");
  return full;
}

const inEnv = place("env/config.yaml");
const inHome = place("home/.stunmesh/config.yml");
const inCwd = place("cwd/config.yaml");
place("cwd/config.yml");
mkdirSync(join(root, "empty"));
mkdirSync(join(root, "folder/config.yaml"), { recursive: true });
mkdirSync(join(root, "loop"));
symlinkSync("config.yaml", join(root, "loop/config.yaml"));

const cwd = join(root, "cwd");
const nowhere = join(root, "empty");

test("findConfig takes the file that was asked for, whether it exists or not", async () => {
  const env = { STUNMESH_CONFIG_DIR: join(root, "env") };
  assert.deepEqual(await findConfig({ file: "x.yaml", directory: "env", env, cwd }), {
    path: join(cwd, "x.yaml"),
    skipped: [],
  });
});

test("findConfig looks in the directory that was asked for and in no other", async () => {
  assert.equal((await findConfig({ directory: "../env", env: {}, cwd })).path, inEnv);
  assert.equal((await findConfig({ directory: join(root, "home/.stunmesh"), env: {}, cwd })).path, inHome);
  await assert.rejects(findConfig({ directory: nowhere, env: {}, cwd }), {
    code: "CONFIG_NOT_FOUND",
    message: `Cannot find a configuration: none of these exists: ${nowhere}/config.yaml, ${nowhere}/config.yml`,
  });
});

test("findConfig looks in $STUNMESH_CONFIG_DIR, then $HOME/.stunmesh, then the current directory", async () => {
  const env = { STUNMESH_CONFIG_DIR: join(root, "env"), HOME: join(root, "home") };
  assert.equal((await findConfig({ env, cwd })).path, inEnv);
  assert.equal((await findConfig({ file: "", directory: "", env, cwd })).path, inEnv);
  assert.equal((await findConfig({ env: { HOME: join(root, "home") }, cwd })).path, inHome);
  assert.equal((await findConfig({ env: { HOME: nowhere, STUNMESH_CONFIG_DIR: "" }, cwd })).path, inCwd);
});

test("findConfig names every path it tried, and none for variables that are not set", async () => {
  await assert.rejects(findConfig({ env: { HOME: "/nonexistent" }, cwd: nowhere }), {
    code: "CONFIG_NOT_FOUND",
    message: `Cannot find a configuration: none of these exists: /etc/stunmesh/config.yaml, /etc/stunmesh/config.yml, /nonexistent/.stunmesh/config.yaml, /nonexistent/.stunmesh/config.yml, ${nowhere}/config.yaml, ${nowhere}/config.yml`,
  });
  await assert.rejects(findConfig({ env: {}, cwd: nowhere }), ({ message }: Error) => !message.includes(" /.stunmesh"));
});

test("findConfig passes over what is there but cannot be used, and says so", async () => {
  const found = await findConfig({ env: { STUNMESH_CONFIG_DIR: join(root, "folder") }, cwd });
  assert.deepEqual(found, {
    path: inCwd,
    skipped: [`Cannot read the configuration "${root}/folder/config.yaml": it is a directory`],
  });
  const looped = await findConfig({ env: { STUNMESH_CONFIG_DIR: join(root, "loop") }, cwd });
  assert.match(looped.skipped[0] ?? "", /ELOOP/);
});

test("findConfig fails with the reason when the only candidate cannot be used", async () => {
  await assert.rejects(findConfig({ directory: join(root, "folder"), env: {}, cwd }), {
    code: "CONFIG_UNREADABLE",
    message: `Cannot read the configuration "${root}/folder/config.yaml": it is a directory`,
  });
});
