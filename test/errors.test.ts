import assert from "node:assert/strict";
import { test } from "node:test";
import { describeError, errorCode, errorKinds, isAbort, isFatal, StunmeshError } from "../src/errors.ts";

/** Exit statuses of sysexits.h that the program uses. */
const sysexits = [64, 66, 69, 73, 75, 77, 78];

test("every code has an exit status of sysexits.h and a name in capitals", () => {
  for (const [code, { exitCode }] of Object.entries(errorKinds)) {
    assert.match(code, /^[A-Z]+(_[A-Z]+)*$/);
    assert.ok(sysexits.includes(exitCode), `${code}: ${exitCode}`);
  }
});

test("what is wrong in the command line, the configuration or the machine's rights ends the daemon", () => {
  const fatal = Object.entries(errorKinds).filter(([, kind]) => kind.fatal);
  const codes = fatal.map(([code]) => code);
  for (const code of ["USAGE", "CONFIG_NOT_FOUND", "CONFIG_INVALID", "PERMISSION_DENIED", "ALREADY_RUNNING"]) {
    assert.ok(codes.includes(code), code);
  }
  for (const code of ["WG_DEVICE_NOT_FOUND", "STUN_NO_ANSWER", "STORE_FAILED", "RECORD_INVALID", "TIMEOUT"]) {
    assert.ok(!codes.includes(code), code);
  }
});

test("isFatal and errorCode know our errors only", () => {
  assert.equal(isFatal(new StunmeshError("PERMISSION_DENIED", "Cannot x: y")), true);
  assert.equal(isFatal(new StunmeshError("TIMEOUT", "Cannot x: y")), false);
  assert.equal(isFatal(Object.assign(new Error("x"), { code: "PERMISSION_DENIED" })), false);
  assert.equal(errorCode(new StunmeshError("TIMEOUT", "Cannot x: y")), "TIMEOUT");
  assert.equal(errorCode(Object.assign(new Error("x"), { code: "ENOENT" })), undefined);
  for (const nothing of [undefined, null, "TIMEOUT", 7, {}]) assert.equal(errorCode(nothing), undefined);
});

test("isAbort knows what an aborted signal throws, and nothing else", () => {
  const stop = new AbortController();
  stop.abort();
  assert.equal(isAbort(stop.signal.reason), true);
  assert.equal(isAbort(new StunmeshError("TIMEOUT", "Cannot x: y")), false);
  assert.equal(isAbort(AbortSignal.abort("text").reason), false);
  assert.equal(isAbort(undefined), false);
});

test("describeError tells the causes that add something", () => {
  const low = new Error("connect ECONNREFUSED 127.0.0.1:1");
  const middle = new Error("fetch failed", { cause: low });
  const top = new StunmeshError("STORE_FAILED", "Cannot read a record: no answer", { cause: middle });
  assert.equal(describeError(top), "Cannot read a record: no answer: fetch failed: connect ECONNREFUSED 127.0.0.1:1");
});

test("describeError is one line, with every error of a configuration in it", () => {
  const wrong = new StunmeshError("CONFIG_INVALID", 'Cannot use "/x": 2 errors\n/x:1:1: a: b\n/x:2:1: c');
  assert.equal(describeError(wrong), 'Cannot use "/x": 2 errors: /x:1:1: a: b; /x:2:1: c');
  const cause = new Error("Cannot find module 'x'\nRequire stack:\r\n- /a\n\n- /b\n");
  assert.equal(
    describeError(new Error("Cannot load:\nx", { cause })),
    "Cannot load: x: Cannot find module 'x': Require stack:; - /a; - /b",
  );
  assert.equal(describeError("a\nb"), "a: b");
  assert.equal(describeError(new Error(" one: two ")), "one: two");
});

test("describeError says nothing twice, and nothing empty", () => {
  const cause = new Error("ENOENT: no such file");
  assert.equal(
    describeError(new Error(`Cannot read: ${cause.message}`, { cause })),
    "Cannot read: ENOENT: no such file",
  );
  assert.equal(describeError(new Error("Cannot read", { cause: new Error("") })), "Cannot read");
  assert.equal(describeError(new Error("Cannot read", { cause: "text" })), "Cannot read");
});

test("describeError ends, whatever the causes are", () => {
  const circle = new Error("round");
  circle.cause = new Error("and round", { cause: circle });
  assert.match(describeError(circle), /^round: and round/);
  assert.equal(describeError("text"), "text");
  assert.equal(describeError(undefined), "undefined");
});

test("a StunmeshError keeps its cause, its code and its name", () => {
  const cause = new Error("why");
  const error = new StunmeshError("TIMEOUT", "Cannot x: y", { cause });
  assert.equal(error.cause, cause);
  assert.equal(error.code, "TIMEOUT");
  assert.equal(error.name, "StunmeshError");
  assert.ok(error instanceof Error);
});
