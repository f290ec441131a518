import assert from "node:assert/strict";
import { test } from "node:test";
import { StunmeshError } from "../../../src/errors.ts";
import { checkReplies } from "../../../src/plugins/wrappers/checked.ts";
import { noSignal } from "../../conformance/store.ts";
import { createFakeStore } from "../../fakes/store.ts";

function returning(reply: unknown) {
  return checkReplies({ ...createFakeStore(), get: async () => reply as string[] }, { name: "mine" });
}

test("checkReplies() passes text and drops the rest", async () => {
  const long = "x".repeat(65_536);
  assert.deepEqual(await returning(["a", 1, "b\0", null, `${long}x`, long, ""]).get("k", noSignal()), ["a", long]);
  assert.deepEqual(await returning([]).get("k", noSignal()), []);
  assert.deepEqual(await returning([""]).get("k", noSignal()), []);
  assert.equal((await returning(Array.from({ length: 5000 }, () => "a")).get("k", noSignal())).length, 64);
});

test("checkReplies() throws STORE_REPLY_INVALID when nothing sensible is left", async () => {
  for (const reply of [[1], ["\0"], ["x".repeat(65_537)], "text", undefined, null, {}]) {
    await assert.rejects(returning(reply).get("k", noSignal()), {
      code: "STORE_REPLY_INVALID",
      message: /^Cannot get from plugin "mine": /,
    });
  }
});

test("checkReplies() makes any error one of ours and keeps those that are", async () => {
  const inner = createFakeStore();
  const store = checkReplies(inner, { name: "mine" });
  const foreign = new TypeError("x is not a function");
  inner.error = foreign;
  const message = 'Cannot set in plugin "mine": x is not a function';
  await assert.rejects(store.set("k", "v", noSignal()), { code: "STORE_FAILED", message, cause: foreign });
  // A plugin's own time limit is no cancellation.
  inner.error = AbortSignal.abort().reason;
  await assert.rejects(store.get("k", noSignal()), { code: "STORE_FAILED" });
  inner.error = new StunmeshError("STORE_UNAVAILABLE", "gone");
  await assert.rejects(store.get("k", noSignal()), inner.error as Error);
});

test("checkReplies() turns a store that throws instead of rejecting into one that rejects", async () => {
  function broken(): never {
    throw new Error("thrown");
  }
  const store = checkReplies({ get: broken, set: broken }, { name: "mine" });
  await assert.rejects(store.get("k", noSignal()), { code: "STORE_FAILED" });
});

test("checkReplies() rejects with the signal's reason when aborted, whatever the store threw", async () => {
  const inner = createFakeStore();
  inner.error = new Error("socket closed");
  const reason = new Error("stop");
  const store = checkReplies(inner, { name: "mine" });
  await assert.rejects(store.get("k", AbortSignal.abort(reason)), reason);
  assert.deepEqual(inner.calls, []);
});

test("checkReplies() lets no junk take the place of a sealed record, and bounds what is opened", async () => {
  const sealed = "0a".repeat(130);
  const junk = Array.from({ length: 5_000 }, (_, index) => `junk ${index}`);
  const texts = await returning([...junk, sealed]).get("k", noSignal());
  assert.deepEqual([texts[0], texts[1], texts.length], [sealed, "junk 0", 65]);
  assert.equal((await returning(Array.from({ length: 9_000 }, () => sealed)).get("k", noSignal())).length, 1_024);
});
