import assert from "node:assert/strict";
import { test } from "node:test";
import { beginWith, createTroubleReport, formatServer, formatServerAt } from "../../src/stun/servers.ts";
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

test("beginWith keeps the order of the preferred and of the others", () => {
  assert.deepEqual(
    beginWith([1, 2, 3, 4], (item) => item % 2 === 0),
    [2, 4, 1, 3],
  );
});

test("a trouble report lists servers in the order they were first noted, each with its last trouble", () => {
  const report = createTroubleReport();
  report.note(named, { reason: "not asked in time" });
  report.note(literal, { reason: "no answer" });
  report.clear(named);
  report.note(named, { reason: "error 500" }, at("192.0.2.1:3478"));
  assert.equal(
    report.toError("ipv6").message,
    "Cannot learn the mapped IPv6 address: stun.example:3478 (192.0.2.1): error 500; [2001:db8::1]:3478: no answer",
  );
});

test("a trouble report is STUN_NAME_UNRESOLVED only when every name is", () => {
  const report = createTroubleReport();
  assert.equal(report.toError("ipv4").code, "STUN_NO_ANSWER");
  report.note(named, { reason: "it has no IPv4 address", isUnresolved: true });
  assert.equal(report.toError("ipv4").code, "STUN_NAME_UNRESOLVED");
  report.note(literal, { reason: "no answer" });
  assert.equal(report.toError("ipv4").code, "STUN_NO_ANSWER");
});
