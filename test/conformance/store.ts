/**
 * What every storage backend must do. A backend's own test calls `testStore` with a way to open an empty store of it.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import type { Store } from "../../src/plugins/types.ts";

interface StoreSubject {
  /** Opens a store that nobody has written to, and arranges with the test for the removal of what it keeps. */
  open(t: TestContext): Promise<Store>;
  /** How many keys the backend is filled with. Fewer for one that starts a program for each. @default 200 */
  readonly keys?: number;
}

/** A key like those of the daemon: 40 hexadecimal characters. */
export function storageKey(label: string | number): string {
  return createHash("sha1").update(String(label)).digest("hex");
}

/** A value like those of the daemon: `length` hexadecimal characters. */
export function sealedValue(length = 214): string {
  return randomBytes(Math.ceil(length / 2))
    .toString("hex")
    .slice(0, length);
}

/** A signal nobody aborts. */
export function noSignal(): AbortSignal {
  return new AbortController().signal;
}

/** The conformance suite. */
export function testStore(name: string, { open, keys: usual = 200 }: StoreSubject): void {
  // STORE_KEYS=1000 for a thorough look: every call of some backends starts a program.
  const keys = Number(process.env.STORE_KEYS ?? usual);
  describe(`store conformance: ${name}`, () => {
    test("get of an unknown key is an empty list", async (t) => {
      const store = await open(t);
      assert.deepEqual(await store.get(storageKey("unknown"), noSignal()), []);
      await store.set(storageKey("other"), sealedValue(), noSignal());
      assert.deepEqual(await store.get(storageKey("unknown"), noSignal()), []);
    });

    test("get returns what set stored, and the newer value after a second set", async (t) => {
      const store = await open(t);
      const key = storageKey("key");
      for (const value of [sealedValue(), sealedValue(138)]) {
        await store.set(key, value, noSignal());
        assert.deepEqual(await store.get(key, noSignal()), [value]);
      }
    });

    for (const length of [258, 1000]) {
      test(`keeps a value of ${length} characters in one piece`, async (t) => {
        const store = await open(t);
        const value = sealedValue(length);
        await store.set(storageKey(length), value, noSignal());
        assert.deepEqual(await store.get(storageKey(length), noSignal()), [value]);
      });
    }

    test(`keeps ${keys} keys apart, eight calls at a time`, async (t) => {
      const store = await open(t);
      const values = new Map(Array.from({ length: keys }, (_, index) => [storageKey(index), sealedValue()]));
      await eightAtATime([...values], ([key, value]) => store.set(key, value, noSignal()));
      await eightAtATime([...values], async ([key, value]) => {
        assert.deepEqual(await store.get(key, noSignal()), [value]);
      });
    });

    test("two writers at once leave one of the two values, whole", async (t) => {
      const store = await open(t);
      const key = storageKey("contested");
      const rounds = Math.ceil(keys / 40);
      for (let round = 0; round < rounds; round++) {
        const values = [sealedValue(258), sealedValue(138)];
        await Promise.all(values.map((value) => store.set(key, value, noSignal())));
        const [found] = await store.get(key, noSignal());
        assert.ok(values.includes(found!), `${found} is one of the two`);
      }
    });

    test("a call rejects with the signal's reason when aborted before and during it", {
      timeout: 60_000,
    }, async (t) => {
      const store = await open(t);
      const key = storageKey("aborted");
      const calls: ((signal: AbortSignal) => Promise<unknown>)[] = [
        (signal) => store.get(key, signal),
        (signal) => store.set(key, sealedValue(), signal),
      ];
      for (const call of calls) {
        const reason = new Error("the daemon stops");
        await assert.rejects(call(AbortSignal.abort(reason)), reason);
        const controller = new AbortController();
        const underWay = call(controller.signal);
        setImmediate(() => controller.abort(reason));
        // A fast backend may have answered first; what must not happen is another error, or none within the time limit.
        await underWay.catch((error: unknown) => assert.equal(error, reason));
        const atOnce = new AbortController();
        const stopped = call(atOnce.signal);
        atOnce.abort(reason);
        await assert.rejects(stopped, reason);
      }
    });

    test("is usable after a cancelled call, and close releases it", async (t) => {
      const store = await open(t);
      const key = storageKey("after");
      await assert.rejects(store.set(key, sealedValue(), AbortSignal.abort()), { name: "AbortError" });
      const value = sealedValue();
      await store.set(key, value, noSignal());
      assert.deepEqual(await store.get(key, noSignal()), [value]);
      await store.close?.();
    });
  });
}

async function eightAtATime<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}
