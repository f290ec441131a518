import assert from "node:assert/strict";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "../../src/clock.ts";
import { file } from "../../src/plugins/file.ts";
import { noSignal, storageKey } from "../conformance/store.ts";
import { createFakeClock, type FakeClock } from "../fakes/clock.ts";
import { temporaryDirectory } from "./fixtures.ts";

const key = storageKey("watched");
const other = storageKey("not watched");

describe("file store watch()", { timeout: 120_000 }, () => {
  test("reports a set of a watched key once, and of no other", async (t) => {
    const { store, changes, clock } = watchIn(t, await temporaryDirectory(t));
    await store.set(other, "abc", noSignal());
    await store.set(key, "abc", noSignal());
    await store.set(key, "abd", noSignal());
    await until(() => clock.sleeping === 1);
    assert.deepEqual(changes, []);
    await clock.advance(50);
    assert.deepEqual(changes, [key]);
    await store.set(key, "abe", noSignal());
    await until(() => clock.sleeping === 1);
    await clock.advance(50);
    assert.deepEqual(changes, [key, key]);
  });

  test("waits for the directory, and reports all keys when it appears", async (t) => {
    const directory = join(await temporaryDirectory(t), "later");
    const { store, changes, errors, clock } = watchIn(t, directory);
    await clock.advance(5000);
    assert.deepEqual(changes, []);
    await mkdir(directory);
    await clock.advance(1000);
    await clock.advance(50);
    assert.deepEqual(changes, [key]);
    await store.set(key, "abc", noSignal());
    await until(() => clock.sleeping === 1);
    await clock.advance(50);
    assert.deepEqual([changes, errors], [[key, key], []]);
  });

  test("reports nothing after close, and keeps no timer", async (t) => {
    const { store, changes, watching, clock } = watchIn(t, await temporaryDirectory(t));
    await store.set(key, "abc", noSignal());
    await until(() => clock.sleeping === 1);
    watching.close();
    watching.close();
    await clock.advance(1000);
    assert.deepEqual([changes, clock.sleeping], [[], 0]);
    const waiting = watchIn(t, "/nonexistent/stunmesh");
    waiting.watching.close();
    await waiting.clock.advance(10_000);
    assert.deepEqual([waiting.errors, waiting.clock.sleeping], [[], 0]);
  });

  for (const [what, spoil] of Object.entries({
    removed: (directory: string) => rm(directory, { recursive: true }),
    renamed: (directory: string) => rename(directory, `${directory}.old`),
    "removed and made again": async (directory: string) => {
      await rm(directory, { recursive: true });
      await mkdir(directory);
    },
  })) {
    test(`ends with one error when the directory is ${what}`, async (t) => {
      const directory = join(await temporaryDirectory(t), "store");
      await mkdir(directory);
      await writeFile(join(directory, key), "abc");
      const { errors, changes, clock } = watchIn(t, directory);
      await spoil(directory);
      await until(() => errors.length > 0);
      assert.equal(errors.length, 1);
      assert.match(String(errors[0]), /Cannot watch plugin "mine": directory ".*": it was removed/);
      const count = changes.length;
      await mkdir(directory, { recursive: true });
      await writeFile(join(directory, key), "abd");
      await clock.advance(1000);
      assert.deepEqual([errors.length, changes.length], [1, count]);
    });
  }

  test("says when the place is no directory to watch", async (t) => {
    const plain = join(await temporaryDirectory(t), "file");
    await writeFile(plain, "");
    const { errors } = watchIn(t, join(plain, "below"));
    await until(() => errors.length === 1);
    assert.match(String(errors[0]), /Cannot watch plugin "mine": .*ENOTDIR/);
  });

  test("reports a change by the real clock, too", async (t) => {
    const directory = await temporaryDirectory(t);
    const store = file.open({ path: directory }, { name: "mine", clock: systemClock });
    const changed = new Promise<string>((resolve, reject) => {
      const watching = store.watch!([key], { onChange: resolve, onError: reject });
      t.after(() => watching.close());
    });
    await store.set(key, "abc", noSignal());
    assert.equal(await changed, key);
  });
});

function watchIn(t: TestContext, path: string) {
  const clock: FakeClock = createFakeClock();
  const store = file.open({ path }, { name: "mine", clock });
  const changes: string[] = [];
  const errors: unknown[] = [];
  const watching = store.watch!([key], {
    onChange: (changed) => changes.push(changed),
    onError: (error) => errors.push(error),
  });
  t.after(() => watching.close());
  return { clock, store, changes, errors, watching };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(5);
}
