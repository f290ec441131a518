/**
 * The memory on a disk that is full or read-only: a tmpfs of its own mount namespace. Needs root and unshare(1).
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { runNode } from "../platform/run-node.ts";
import { builtModule } from "../state/built-module.ts";

interface Seen {
  readonly lines: readonly { readonly level: string; readonly msg: string; readonly err?: string }[];
  readonly files: readonly string[];
  readonly sequence?: number;
}

/** Runs `text` with /mnt a tmpfs of 32 KiB, `memory` opened there, and save(sequence); returns what was logged and is there. */
async function onSmallDisk(text: string): Promise<Seen> {
  const mount = 'mount -t tmpfs -o size=32k tmpfs /mnt && exec "$@"';
  const { stdout, stderr } = await runNode(
    `
    import { execFileSync } from "node:child_process";
    import { readdirSync, rmSync, writeFileSync } from "node:fs";
    import { systemClock as clock } from "${builtModule("clock")}";
    import { openStateDirectory } from "${builtModule("state/directory")}";
    import { lockInterface } from "${builtModule("state/lock")}";
    import { openMemory } from "${builtModule("state/memory")}";
    const publicKey = new Uint8Array(32);
    const key = Buffer.from(publicKey).toString("base64");
    const lines = [];
    const at = (level) => (fields, msg) => lines.push({ level, msg, ...fields });
    const log = { debug: at("debug"), info: at("info"), warn: at("warn") };
    const open = () => openMemory({ directory: "/mnt/state", interface: "wg0", clock, log });
    await openStateDirectory("/mnt/state");
    let memory = await open();
    async function save(sequence) {
      memory.save(() => ({ publicKey, peers: new Map([[key, { sequence }]]) }));
      await memory.flush();
    }
    await save(1);
    ${text}
    const files = readdirSync("/mnt/state").sort();
    await memory.close();
    memory = await open();
    console.log(JSON.stringify({ lines, files, sequence: memory.load(publicKey).get(key)?.sequence }));
  `,
    ["unshare", "--mount", "--propagation", "private", "sh", "-c", mount, "sh"],
  );
  assert.equal(stderr, "");
  return JSON.parse(stdout) as Seen;
}

test("memory on a full disk keeps the old file, warns once and is written when there is room again", async () => {
  const { lines, files, sequence } = await onSmallDisk(`
    try { writeFileSync("/mnt/full", Buffer.alloc(1024 * 1024)); } catch {}
    await save(2);
    await save(3);
    const lock = await lockInterface({ directory: "/mnt/state", interface: "wg0" });
    await lock.release();
    rmSync("/mnt/full");
  `);
  assert.deepEqual(
    lines.map(({ level, msg }) => `${level}: ${msg}`),
    ["warn: memory not written", "debug: memory not written", "info: memory is written again"],
  );
  assert.match(lines[0]?.err ?? "", /^Cannot write "\/mnt\/state\/wg0\.json": ENOSPC: no space left on device/);
  assert.deepEqual(files, ["wg0.json", "wg0.lock"]);
  assert.equal(sequence, 3);
});

test("a directory that cannot be made on a read-only disk is not called missing", async () => {
  const { lines } = await onSmallDisk(`
    const { file } = await import("${builtModule("plugins/file")}");
    const { createFile } = await import("${builtModule("cli/init/new-file")}");
    execFileSync("mount", ["-o", "remount,ro", "/mnt"]);
    const store = file.open({ path: "/mnt/a/b" }, { name: "mine", clock });
    for (const making of [
      () => openStateDirectory("/mnt/a"),
      () => openStateDirectory("/mnt/a/b/c"),
      () => store.set("0".repeat(40), "x", new AbortController().signal),
      () => createFile("/mnt/a/b/x.yaml", { text: "", mode: 0o600 }),
    ]) {
      await making().catch(({ code, message }) => lines.push({ level: code, msg: message }));
    }
    execFileSync("mount", ["-o", "remount,rw", "/mnt"]);
    // Nothing of what could not be made is left, and now it can be made.
    await openStateDirectory("/mnt/a/b");
  `);
  assert.deepEqual(
    lines.map(({ level, msg }) => `${level}: ${msg}`),
    [
      `STATE_UNAVAILABLE: Cannot use the state directory "/mnt/a": EROFS: read-only file system, mkdir '/mnt/a'`,
      `STATE_UNAVAILABLE: Cannot use the state directory "/mnt/a/b/c": EROFS: read-only file system, mkdir '/mnt/a'`,
      `STORE_FAILED: Cannot set in plugin "mine": file "/mnt/a/b/${"0".repeat(40)}": the file system is read-only`,
      `FILE_NOT_CREATED: Cannot write "/mnt/a/b/x.yaml": EROFS: read-only file system, mkdir '/mnt/a'`,
    ],
  );
});

test("memory on a disk that becomes read-only warns once, and the directory is refused at the next start", async () => {
  const { lines, sequence } = await onSmallDisk(`
    execFileSync("mount", ["-o", "remount,ro", "/mnt"]);
    await save(2);
    await save(3);
    for (const opening of [openStateDirectory("/mnt/state"), lockInterface({ directory: "/mnt/state", interface: "wg0" })]) {
      await opening.catch(({ code, message }) => lines.push({ level: code, msg: message }));
    }
  `);
  const messages = lines.map(({ level, msg }) => `${level}: ${msg}`);
  assert.deepEqual(messages, [
    "warn: memory not written",
    "debug: memory not written",
    `STATE_UNAVAILABLE: Cannot use the state directory "/mnt/state": EROFS: read-only file system, access '/mnt/state'`,
    `STATE_UNAVAILABLE: Cannot lock "/mnt/state/wg0.lock": EROFS: read-only file system, open '/mnt/state/wg0.lock'`,
    "debug: memory not written",
  ]);
  assert.equal(sequence, 1);
});
