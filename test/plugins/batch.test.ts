import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createBatches } from "../../src/plugins/batch.ts";
import { noSignal } from "../conformance/store.ts";
import { createFakeClock } from "../fakes/clock.ts";

describe("createBatches()", () => {
  function setUp() {
    const clock = createFakeClock();
    const loads: { readonly keys: readonly string[]; readonly signal: AbortSignal }[] = [];
    let resolve: (value: string) => void = assert.fail;
    let reject: (error: Error) => void = assert.fail;
    const promise = new Promise<string>((onValue, onError) => {
      resolve = onValue;
      reject = onError;
    });
    const look = createBatches({
      clock,
      load: (keys, signal) => {
        loads.push({ keys, signal });
        return promise;
      },
    });
    return { clock, loads, look, resolve, reject };
  }

  test("asks once for the looks of 20 ms, and anew for later ones", async () => {
    const { clock, loads, look, resolve } = setUp();
    resolve("all");
    const looks = [look("a", noSignal()), look("b", noSignal()), look("a", noSignal())];
    await clock.advance(19);
    looks.push(look("c", noSignal()));
    assert.equal(loads.length, 0);
    await clock.advance(1);
    assert.deepEqual(await Promise.all(looks), ["all", "all", "all", "all"]);
    const later = look("d", noSignal());
    await clock.advance(20);
    assert.equal(await later, "all");
    assert.deepEqual(
      loads.map(({ keys }) => keys),
      [["a", "b", "c"], ["d"]],
    );
    assert.equal(clock.sleeping, 0);
  });

  test("gives the failure to all", async () => {
    const { clock, look, reject } = setUp();
    const looks = [look("a", noSignal()), look("b", noSignal())].map((one) => assert.rejects(one, /away/));
    await clock.advance(20);
    reject(new Error("away"));
    await Promise.all(looks);
  });

  test("one that gives up leaves alone; when all have, the work is stopped and nobody can join it", async () => {
    const { clock, loads, look } = setUp();
    const [first, second] = [new AbortController(), new AbortController()];
    const looks = [look("a", first.signal), look("b", second.signal)];
    const failures = looks.map((one) => assert.rejects(one, { message: "enough" }));
    await clock.advance(20);
    first.abort(new Error("enough"));
    await failures[0];
    assert.equal(loads[0]?.signal.aborted, false);
    second.abort(new Error("enough"));
    await failures[1];
    assert.equal(loads[0]?.signal.aborted, true);

    const third = new AbortController();
    const early = assert.rejects(look("c", third.signal), { message: "enough" });
    third.abort(new Error("enough"));
    await early;
    void look("d", noSignal());
    await clock.advance(20);
    assert.deepEqual(loads[1]?.keys, ["d"]);
    assert.equal(clock.sleeping, 0);
  });

  test("does not begin for who is aborted already", async () => {
    const { clock, look } = setUp();
    const reason = new Error("stopped");
    await assert.rejects(look("a", AbortSignal.abort(reason)), reason);
    assert.equal(clock.sleeping, 0);
  });
});
