import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { test } from "node:test";
import { StunmeshError } from "../../src/errors.ts";
import { createFailOver } from "../../src/plugins/fail-over.ts";
import { noSignal } from "../conformance/store.ts";
import { createFakeClock } from "../fakes/clock.ts";

const action = 'get from plugin "mine"';
const down = (place: string) => new StunmeshError("STORE_UNAVAILABLE", `Cannot ${action}: "${place}": refused`);

/** Places a, b and c, each failing, answering or hanging as it is told. */
function create(behaviours: Record<string, "answer" | "fail" | "hang">) {
  const clock = createFakeClock();
  const asked: string[] = [];
  const stopped: string[] = [];
  const failOver = createFailOver({ places: Object.keys(behaviours), clock, patienceMs: 7000 });
  const call = (signal = noSignal()) =>
    failOver({ signal, action }, async (place, inner) => {
      asked.push(place);
      if (behaviours[place] === "answer") return place;
      if (behaviours[place] === "fail") throw down(place);
      return await new Promise<string>((_, reject) => {
        inner.addEventListener("abort", () => {
          stopped.push(place);
          reject(inner.reason);
        });
      });
    });
  return { clock, asked, stopped, behaviours, call };
}

test("createFailOver() asks one place when it answers", async () => {
  const { call, asked, clock } = create({ a: "answer", b: "answer" });
  assert.equal(await call(), "a");
  assert.deepEqual(asked, ["a"]);
  await clock.advance(0);
  assert.equal(clock.sleeping, 0);
});

test("createFailOver() asks the next place when one fails, and that one first for five minutes", async () => {
  const { call, asked, clock, behaviours } = create({ a: "fail", b: "answer", c: "answer" });
  assert.equal(await call(), "b");
  behaviours.a = "answer";
  assert.equal(await call(), "b");
  assert.deepEqual(asked, ["a", "b", "b"]);
  behaviours.b = "fail";
  assert.equal(await call(), "c");
  await clock.advance(300_000);
  assert.equal(await call(), "a");
});

test("createFailOver() asks the next place too when one is slow, and stops what is left", async () => {
  const { call, asked, stopped, clock } = create({ a: "hang", b: "hang", c: "answer" });
  const called = call();
  await clock.advance(6999);
  assert.deepEqual(asked, ["a"]);
  await clock.advance(1);
  assert.deepEqual(asked, ["a", "b"]);
  await clock.advance(7000);
  assert.equal(await called, "c");
  assert.deepEqual(stopped, ["a", "b"]);
  await clock.advance(0);
  assert.equal(clock.sleeping, 0);
});

test("createFailOver() gives the reasons of all when all fail, and the one error of a single place", async () => {
  await assert.rejects(create({ a: "fail" }).call(), down("a"));
  await assert.rejects(create({ a: "fail", b: "fail" }).call(), {
    code: "STORE_UNAVAILABLE",
    message: `Cannot ${action}: "a": refused; "b": refused`,
  });
});

test("createFailOver() rejects with the reason of its signal and lets go of it", async () => {
  const { call, stopped } = create({ a: "hang" });
  const controller = new AbortController();
  const reason = new Error("the daemon stops");
  const called = assert.rejects(call(controller.signal), reason);
  controller.abort(reason);
  await called;
  assert.deepEqual(stopped, ["a"]);
  await assert.rejects(call(controller.signal), reason);
  const signal = noSignal();
  await create({ a: "answer" }).call(signal);
  assert.deepEqual(getEventListeners(signal, "abort"), []);
});

test("createFailOver() takes an answer that is too little only when no place has a better one", async () => {
  const clock = createFakeClock();
  const answers: Record<string, string[] | undefined> = { a: [], b: undefined, c: ["value"] };
  const asked: string[] = [];
  const failOver = createFailOver({ places: ["a", "b", "c"], clock, patienceMs: 7000 });
  const call = () =>
    failOver({ signal: noSignal(), action, isEnough: (values: string[]) => values.length > 0 }, async (place) => {
      asked.push(place);
      const values = answers[place];
      if (!values) throw down(place);
      return values;
    });
  assert.deepEqual(await call(), ["value"]);
  assert.deepEqual(asked, ["a", "b", "c"]);
  answers.c = [];
  assert.deepEqual(await call(), []);
  answers.a = undefined;
  answers.c = undefined;
  await assert.rejects(call(), { code: "STORE_UNAVAILABLE" });
});

test("createFailOver() does not wait for ever for a better answer", async () => {
  const clock = createFakeClock();
  const failOver = createFailOver({ places: ["a", "b"], clock, patienceMs: 7000 });
  const called = failOver({ signal: noSignal(), action, isEnough: (text: string) => text !== "" }, (place) =>
    place === "a" ? Promise.resolve("") : new Promise<string>(() => undefined),
  );
  await clock.advance(0);
  await clock.advance(7000);
  assert.equal(await called, "");
});
