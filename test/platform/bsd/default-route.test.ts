import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { systemClock } from "../../../src/clock.ts";
import {
  createReadDefaultRoute,
  encodeRouteGet,
  parseRouteGet,
  type RouteOutput,
} from "../../../src/platform/bsd/default-route.ts";
import { darwin } from "../../../src/platform/darwin/constants.ts";
import { findEscape } from "../../../src/platform/darwin/escape.ts";
import { freebsd } from "../../../src/platform/freebsd/constants.ts";
import { createFakeClock } from "../../fakes/clock.ts";
import { fixturePath } from "../../fixtures/path.ts";

const { signal } = new AbortController();
/** In the form route(8) of the two systems prints. */
const cases = JSON.parse(readFileSync(fixturePath("platform/route-get.json"), "utf8")) as readonly (RouteOutput & {
  readonly name: string;
  readonly interface: string | null;
})[];

for (const { name, interface: expected, ...output } of cases) {
  test(`parseRouteGet: ${name}`, () => assert.equal(parseRouteGet(output), expected ?? undefined));
}

test("parseRouteGet says what else went wrong", () => {
  for (const [output, message] of [
    [
      { status: 77, stdout: "", stderr: "route: must be root to alter routing table\nmore\n" },
      /status 77: route: must be/,
    ],
    [{ status: 64, stdout: "", stderr: "" }, /^\/sbin\/route ended with status 64$/],
    [{ status: undefined, stdout: "", stderr: "" }, /status unknown$/],
    [{ status: 0, stdout: "route to: default\n", stderr: "" }, /status 0$/],
  ] as const) {
    assert.throws(() => parseRouteGet(output), { message });
  }
});

test("encodeRouteGet asks for a family and a routing table", () => {
  assert.deepEqual(encodeRouteGet("ipv4", undefined), ["-n", "get", "-inet", "default"]);
  assert.deepEqual(encodeRouteGet("ipv6", 2), ["-n", "get", "-fib", "2", "-inet6", "default"]);
});

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "stunmesh-route-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

/** A route(8) that is a script of sh. */
function install(script: string): string {
  const command = join(dir, "route");
  writeFileSync(command, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return command;
}

test("readDefaultRoute runs route(8) in an environment of its own, with the routing table where there are several", async () => {
  const command = install(`echo "$* PATH=$PATH $HOME$TERM" > ${dir}/asked; echo "  interface: em0"`);
  for (const [system, arguments_] of [
    [freebsd, "-n get -fib 3 -inet default"],
    [darwin, "-n get -inet default"],
  ] as const) {
    const read = createReadDefaultRoute({ system, clock: systemClock, command });
    assert.equal(await read("ipv4", { fib: 3, signal }), "em0");
    assert.equal(readFileSync(join(dir, "asked"), "utf8"), `${arguments_} PATH=/sbin:/usr/sbin:/bin:/usr/bin \n`);
  }
});

test("readDefaultRoute resolves with undefined for no route, and rejects for any other failure", async () => {
  const read = (command: string) =>
    createReadDefaultRoute({ system: freebsd, clock: systemClock, command })("ipv6", { signal });
  assert.equal(await read(install('echo "route: route has not been found" >&2; exit 1')), undefined);
  for (const [script, message] of [
    ["echo oops >&2; exit 70", /^Cannot read the default route of IPv6: .*status 70: oops$/],
    ["kill -9 $$", /^Cannot read the default route of IPv6: /],
    [
      "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done",
      /^Cannot read the default route of IPv6: .*maxBuffer/,
    ],
  ] as const) {
    await assert.rejects(read(install(script)), { code: "SYSTEM_CALL_FAILED", message });
  }
  await assert.rejects(read(join(dir, "none")), { code: "SYSTEM_CALL_FAILED", message: /ENOENT/ });
});

test("readDefaultRoute ends a route(8) that hangs, at its deadline and when aborted", async () => {
  const command = install(`echo $$ > ${dir}/pid; exec sleep 600`);
  const clock = createFakeClock();
  const read = createReadDefaultRoute({ system: darwin, clock, command });
  const late = assert.rejects(read("ipv4", { signal }), { code: "TIMEOUT", message: /default route of IPv4: .*2 s$/ });
  await clock.advance(2_000);
  await late;
  const stop = new AbortController();
  const aborted = assert.rejects(read("ipv4", { signal: stop.signal }), { name: "AbortError" });
  stop.abort();
  await aborted;
  assert.equal(clock.sleeping, 0);
});

test("findEscape of macOS tells the interface of the default route, or why there is none", async () => {
  assert.equal((await findEscape("ipv4", async () => "en0")).interface, "en0");
  assert.deepEqual(await findEscape("ipv4", async () => undefined), {
    interface: undefined,
    hint: "there is no default route around it",
  });
  assert.deepEqual(await findEscape("ipv4", () => Promise.reject(new Error("it hangs"))), {
    interface: undefined,
    hint: "the default route around it is not known: it hangs",
  });
});
