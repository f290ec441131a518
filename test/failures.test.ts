import assert from "node:assert/strict";
import { test } from "node:test";
import { StunmeshError } from "../src/errors.ts";
import { createFailureLog } from "../src/failures.ts";
import { createFakeLog } from "./fakes/log.ts";

const down = new StunmeshError("STORE_FAILED", "Cannot read: connection refused");
const forbidden = new StunmeshError("STORE_UNAVAILABLE", "Cannot read: forbidden");

function start() {
  const log = createFakeLog();
  const failures = createFailureLog(log);
  const fail = (what: string, error: unknown) => failures.failed(what, error, { message: "fetch failed" });
  return { log, failures, fail, levels: () => log.lines.map(({ level }) => level) };
}

test("a failure that lasts is a warning once", () => {
  const { log, fail, levels } = start();
  for (let count = 0; count < 3; count++) fail("peer a", down);
  assert.deepEqual(levels(), ["warn", "debug", "debug"]);
  assert.deepEqual(log.lines[0], {
    level: "warn",
    msg: "fetch failed",
    code: "STORE_FAILED",
    err: "Cannot read: connection refused",
  });
});

test("another reason is another warning; another text of the same code is not", () => {
  const { fail, levels } = start();
  fail("peer a", down);
  fail("peer a", new StunmeshError("STORE_FAILED", "Cannot read: no route"));
  fail("peer a", forbidden);
  fail("peer a", down);
  assert.deepEqual(levels(), ["warn", "debug", "warn", "warn"]);
});

test("an error without a code is told by its text", () => {
  const { fail, levels, log } = start();
  fail("peer a", new Error("one"));
  fail("peer a", new Error("one"));
  fail("peer a", new Error("two"));
  fail("peer a", "text");
  assert.deepEqual(levels(), ["warn", "debug", "warn", "warn"]);
  assert.equal(log.lines.at(-1)?.err, "text");
  assert.equal("code" in (log.lines[0] ?? {}), false);
});

test("what fails is told apart by its name", () => {
  const { fail, levels } = start();
  fail("peer a", down);
  fail("peer b", down);
  assert.deepEqual(levels(), ["warn", "warn"]);
});

test("the end is said once, and only after a failure", () => {
  const { failures, fail, log, levels } = start();
  const end = () => failures.ended("peer a", { message: "fetch works again", fields: { peer: "a" } });
  end();
  fail("peer a", down);
  end();
  end();
  fail("peer a", down);
  assert.deepEqual(levels(), ["warn", "info", "warn"]);
  assert.deepEqual(log.lines[1], { level: "info", msg: "fetch works again", peer: "a" });
});
