import assert from "node:assert/strict";
import { test } from "node:test";
import { listSecrets, scrub } from "../../src/plugins/scrub.ts";

test("scrub() makes one line without terminal codes", () => {
  assert.equal(scrub("\u001b[31merror:\u001b[0m\r\n\tno\u0007 route\u202e\n", []), "error: no route");
});

test("scrub() hides secrets, longest first, and long hexadecimal text", () => {
  const hex = "0123456789abcdefABCDEF0123456789".repeat(2);
  assert.equal(scrub(`a ${hex} b ${hex}ff.`, []), "a [hidden] b [hidden].");
  assert.equal(scrub(`${hex.slice(1)}`, []), hex.slice(1), "63 characters may be a hash");
  assert.equal(scrub("token=abcdefgh-longer, abcdefgh", ["abcdefgh", "abcdefgh-longer"]), "token=[hidden], [hidden]");
  assert.equal(scrub("a short one", ["a"]), "a short one");
});

test("scrub() keeps the last 400 characters and cuts only after hiding", () => {
  const text = scrub(`${"0".repeat(300)} ${"word ".repeat(100)}end`, []);
  assert.ok(text.startsWith("...") && text.endsWith("word end"));
  assert.equal(text.length, 403);
  assert.equal(scrub(`${"x".repeat(380)} ${"a1".repeat(300)}`, []), `${"x".repeat(380)} [hidden]`);
});

test("listSecrets() finds values of options and variables that are named like credentials", () => {
  const args = ["-zone", "example.com", "-token", "one", "--api-key=two=2", "--password", "three", "token", "-secret"];
  const env = { PATH: "/bin", CF_API_TOKEN: "four", EMPTY_SECRET: "", GONE_SECRET: undefined };
  assert.deepEqual(listSecrets(args, env), ["one", "two=2", "three", "four"]);
});
