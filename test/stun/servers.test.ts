import assert from "node:assert/strict";
import { test } from "node:test";
import { createTroubleReport, formatServer, formatServerAt, type TroubleKind } from "../../src/stun/servers.ts";
import { at } from "../fakes/stun-world.ts";

const named = { host: "stun.example", port: 3478 };
const literal = { host: "2001:db8::1", port: 3478 };

test("formatServer puts an IPv6 literal in brackets", () => {
  assert.equal(formatServer(named), "stun.example:3478");
  assert.equal(formatServer(literal), "[2001:db8::1]:3478");
});

test("formatServerAt names the address only when the server has a name", () => {
  assert.equal(formatServerAt(named, at("192.0.2.1:3478")), "stun.example:3478 (192.0.2.1)");
  assert.equal(formatServerAt(literal, at("[2001:db8::1]:3478")), "[2001:db8::1]:3478");
  assert.equal(formatServerAt(named, undefined), "stun.example:3478");
});

test("a trouble report lists servers in the order they were first noted, each with its last trouble", () => {
  const report = createTroubleReport();
  report.note(named, { kind: "not asked", reason: "not asked in time" });
  report.note(literal, { kind: "silent", reason: "no answer" });
  report.clear(named);
  report.note(named, { kind: "unusable", reason: "error 500" }, at("192.0.2.1:3478"));
  assert.equal(
    report.toError("ipv6").message,
    "Cannot learn the mapped IPv6 address: stun.example:3478 (192.0.2.1): error 500; [2001:db8::1]:3478: no answer",
  );
});

test("the code of a trouble report is that of what was got farthest with", () => {
  const codeOf = (...kinds: readonly TroubleKind[]) => {
    const report = createTroubleReport();
    for (const [index, kind] of kinds.entries())
      report.note({ host: "stun.example", port: 1 + index }, { kind, reason: kind });
    return report.toError("ipv4").code;
  };
  assert.equal(codeOf(), "STUN_NO_ANSWER");
  assert.equal(codeOf("unresolved", "unresolved"), "STUN_NAME_UNRESOLVED");
  assert.equal(codeOf("absent", "unresolved"), "STUN_NOT_SENT");
  assert.equal(codeOf("not sent", "unresolved"), "STUN_NOT_SENT");
  assert.equal(codeOf("not sent", "silent"), "STUN_NO_ANSWER");
  assert.equal(codeOf("not sent", "not asked"), "STUN_NO_ANSWER");
  assert.equal(codeOf("silent", "unusable", "not sent"), "STUN_UNUSABLE");
});
