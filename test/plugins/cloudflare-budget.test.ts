import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createCallBudget, sharedCallBudget } from "../../src/plugins/cloudflare-budget.ts";
import { readRetryAfter } from "../../src/plugins/retry-after.ts";
import { noSignal } from "../conformance/store.ts";
import { createFakeClock } from "../fakes/clock.ts";

const MINUTE_MS = 60_000;

describe("createCallBudget()", () => {
  test("lets half of the limit pass at once, and never more than the limit in any 5 minutes", async () => {
    const clock = createFakeClock();
    const budget = createCallBudget({ clock, limit: 480 });
    const passed: number[] = [];
    let refused = 0;
    // Whoever asks 4 times a second for 20 minutes, and for 20 calls at once every minute.
    for (let turn = 0; turn < 20 * 60; turn++) {
      for (let call = 0; call < (turn % 60 === 0 ? 20 : 4); call++) {
        budget.spend(noSignal()).then(
          () => passed.push(clock.monotonic()),
          () => refused++,
        );
      }
      await clock.advance(1000);
    }
    assert.ok(refused > 0);
    assert.ok(passed.length > 3 * 240);
    for (const from of passed) {
      const inWindow = passed.filter((at) => at >= from && at < from + 5 * MINUTE_MS).length;
      assert.ok(inWindow <= 480, `${inWindow} calls in 5 minutes`);
    }
  });

  test("a call beyond waits up to 10 s, then fails at once with the wait", async () => {
    const clock = createFakeClock();
    const budget = createCallBudget({ clock, limit: 480 });
    for (let call = 0; call < 240; call++) await budget.spend(noSignal());
    assert.equal(clock.sleeping, 0);
    const waiting = Array.from({ length: 8 }, () => budget.spend(noSignal()));
    assert.equal(clock.sleeping, 8);
    await assert.rejects(budget.spend(noSignal()), (error: Error & { code: string }) => {
      assert.equal(error.code, "STORE_UNAVAILABLE");
      assert.equal(
        error.message,
        "this daemon has used up its calls, 480 in 5 minutes (call_limit): next call in 12 s",
      );
      assert.equal(readRetryAfter(error), 11_250);
      return true;
    });
    await clock.advance(1250);
    await waiting[0];
    assert.equal(clock.sleeping, 7);
    await clock.advance(8750);
    await Promise.all(waiting);
  });

  test("who gives up while waiting has spent nothing", async () => {
    const clock = createFakeClock();
    const budget = createCallBudget({ clock, limit: 480 });
    for (let call = 0; call < 240; call++) await budget.spend(noSignal());
    const controller = new AbortController();
    const reason = new Error("enough");
    const given = Array.from({ length: 8 }, () => assert.rejects(budget.spend(controller.signal), reason));
    controller.abort(reason);
    await Promise.all(given);
    await assert.rejects(budget.spend(controller.signal), reason);
    assert.equal(clock.sleeping, 0);
    const next = budget.spend(noSignal());
    await clock.advance(1250);
    await next;
  });

  test("lets nothing pass while blocked, not even who waited", async () => {
    const clock = createFakeClock();
    const budget = createCallBudget({ clock, limit: 20 });
    for (let call = 0; call < 10; call++) await budget.spend(noSignal());
    await clock.advance(29_000);
    const waiting = assert.rejects(budget.spend(noSignal()), {
      message: /it asked to be left alone: next call in 59 s/,
    });
    budget.block(60_000);
    budget.block(1000);
    await clock.advance(1000);
    await waiting;
    await assert.rejects(budget.spend(noSignal()), { code: "STORE_UNAVAILABLE", message: /in 59 s/ });
    await clock.advance(59_000);
    await budget.spend(noSignal());
  });
});

test("sharedCallBudget is one for each token and address of the API, with the lowest limit", async () => {
  const clock = createFakeClock();
  const common = { clock, token: "a", apiUrl: "https://api" };
  const budget = sharedCallBudget({ ...common, limit: 480 });
  assert.equal(sharedCallBudget({ ...common, limit: 20 }), budget);
  assert.notEqual(sharedCallBudget({ ...common, token: "b", limit: 480 }), budget);
  assert.notEqual(sharedCallBudget({ ...common, apiUrl: "https://other", limit: 480 }), budget);
  assert.notEqual(sharedCallBudget({ ...common, clock: createFakeClock(), limit: 480 }), budget);
  for (let call = 0; call < 10; call++) await budget.spend(noSignal());
  await assert.rejects(budget.spend(noSignal()), { message: /20 in 5 minutes/ });
});
