import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rm, stat, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { file } from "../../src/plugins/file.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { pluginContext, temporaryDirectory } from "./fixtures.ts";

testStore("file", { open: async (t) => open(join(await temporaryDirectory(t), "made", "by set")) });

const key = storageKey("a key");

describe("file store", () => {
  test("creates the directory for its owner alone, and files too", async (t) => {
    const directory = join(await temporaryDirectory(t), "store");
    await open(directory).set(key, "abc", noSignal());
    assert.equal((await stat(directory)).mode & 0o777, 0o700);
    assert.equal((await stat(join(directory, key))).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(directory), [key]);
    assert.equal(await readFile(join(directory, key), "utf8"), "abc\n");
  });

  test("reads values that other programs wrote", async (t) => {
    const directory = await temporaryDirectory(t);
    for (const [text, values] of [
      ["abc", ["abc"]],
      ["abc\r\n\n", ["abc"]],
      ["", []],
      ["\n", []],
    ] as const) {
      await writeFile(join(directory, key), text);
      assert.deepEqual(await open(directory).get(key, noSignal()), values);
    }
  });

  test("refuses a key that is no key", async (t) => {
    const directory = await temporaryDirectory(t);
    for (const bad of ["", "../evil", key.toUpperCase(), `${key}0`, `${key}\n`, `a/${key.slice(2)}`]) {
      await assert.rejects(open(directory).get(bad, noSignal()), { code: "STORE_FAILED", message: /40 lower-case/ });
      await assert.rejects(open(directory).set(bad, "x", noSignal()), { code: "STORE_FAILED" });
    }
    assert.deepEqual(await readdir(directory), []);
  });

  test("refuses more than 64 KiB and bytes that are no text, naming the file", async (t) => {
    const directory = await temporaryDirectory(t);
    const place = join(directory, key);
    await writeFile(place, "x".repeat(65_537));
    const message = `Cannot get from plugin "mine": file "${place}": it has more than 64 KiB`;
    await assert.rejects(open(directory).get(key, noSignal()), { code: "STORE_REPLY_INVALID", message });
    await writeFile(place, Buffer.from([0xff, 0xfe]));
    await assert.rejects(open(directory).get(key, noSignal()), { code: "STORE_REPLY_INVALID", message: /not UTF-8/ });
    await assert.rejects(open(directory).set(key, "x".repeat(65_537), noSignal()), { code: "STORE_FAILED" });
    await open(directory).set(key, "x".repeat(65_535), noSignal());
    assert.equal((await open(directory).get(key, noSignal()))[0]?.length, 65_535);
  });

  test("says what is in the place of a file", { timeout: 60_000 }, async (t) => {
    const directory = await temporaryDirectory(t);
    const place = join(directory, key);
    const store = open(directory);
    await mkdir(place);
    await assert.rejects(store.get(key, noSignal()), { code: "STORE_FAILED", message: /not a regular file/ });
    await assert.rejects(store.set(key, "abc", noSignal()), {
      code: "STORE_FAILED",
      message: /a directory is in its place/,
    });
    await rm(place, { recursive: true });
    execFileSync("mkfifo", [place]);
    await assert.rejects(store.get(key, noSignal()), { code: "STORE_FAILED", message: /not a regular file/ });
    await rm(place);
    const secret = join(directory, "secret");
    await writeFile(secret, "private");
    await symlink(secret, place);
    await assert.rejects(store.get(key, noSignal()), { code: "STORE_FAILED", message: /a symbolic link/ });
    await store.set(key, "abc", noSignal());
    assert.equal(await readFile(secret, "utf8"), "private");
    assert.deepEqual(await store.get(key, noSignal()), ["abc"]);
  });

  test("is unavailable when its path leads through a file", async (t) => {
    const directory = join(await temporaryDirectory(t), "file");
    await writeFile(directory, "");
    await assert.rejects(open(directory).get(key, noSignal()), {
      code: "STORE_UNAVAILABLE",
      message: /not a directory/,
    });
    await assert.rejects(open(directory).set(key, "abc", noSignal()), {
      message: /^Cannot set in plugin "mine": file/,
    });
  });

  test("a set that fails or is aborted leaves no temporary file and the old value", async (t) => {
    const directory = await temporaryDirectory(t);
    const store = open(directory);
    await store.set(key, "old", noSignal());
    const controller = new AbortController();
    const stopped = store.set(key, "new", controller.signal);
    controller.abort();
    await assert.rejects(stopped, { name: "AbortError" });
    assert.deepEqual(await readdir(directory), [key]);
    assert.deepEqual(await store.get(key, noSignal()), ["old"]);
  });

  test("the first set removes temporary files of dead writers, and only those", async (t) => {
    const directory = await temporaryDirectory(t);
    const names = [`.${key}.0123456789abcdef.tmp`, `.${key}.fedcba9876543210.tmp`, ".other.tmp"] as const;
    for (const name of names) await writeFile(join(directory, name), "part");
    for (const name of [names[0], names[2]]) await utimes(join(directory, name), 1, 1);
    await open(directory).set(key, "abc", noSignal());
    assert.deepEqual((await readdir(directory)).sort(), [names[1], names[2], key].sort());
  });

  test("a reader beside four writers never sees a part of a value", async (t) => {
    const directory = await temporaryDirectory(t);
    const values = Array.from({ length: 4 }, () => sealedValue(60_000));
    await open(directory).set(key, values[0]!, noSignal());
    let isWriting = true;
    const writers = values.map(async (value) => {
      const store = open(directory);
      for (let round = 0; round < 25; round++) await store.set(key, value, noSignal());
    });
    const reader = (async () => {
      let reads = 0;
      for (; isWriting; reads++) assert.ok(values.includes((await open(directory).get(key, noSignal()))[0]!));
      return reads;
    })();
    await Promise.all(writers);
    isWriting = false;
    assert.ok((await reader) > 0);
    await chmod(directory, 0o700);
    assert.deepEqual(await readdir(directory), [key]);
  });
});

function open(path: string): Store {
  return file.open({ path }, pluginContext);
}
