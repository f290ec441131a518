import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createNatWatch,
  describeNat,
  isContradicted,
  mappingOf,
  natClassOf,
  reportMapping,
  serverCauses,
  summarizeMapping,
} from "../src/nat.ts";
import type { MappingSample } from "../src/stun/dissent.ts";
import { judgeMapping } from "../src/stun/mapping.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createReading } from "./fakes/device.ts";
import { createFakeLog } from "./fakes/log.ts";

const LOCAL = "192.168.1.5";
const servers = ["198.51.100.1", "198.51.100.2"];

/** What judgeMapping says when each server saw one of these ports of `host`. */
function observe(host: string, ports: readonly number[]) {
  const samples = ports.map(
    (port, index): MappingSample => ({
      server: { family: "ipv4", host: servers[index % 2] ?? "", port: 3478 },
      mapped: { family: "ipv4", host, port },
    }),
  );
  return { ...judgeMapping(samples, { localPort: 51820, localAddresses: [LOCAL] }), samples };
}

const cases = [
  {
    name: "the same port everywhere",
    seen: observe("203.0.113.7", [40001, 40001]),
    summary: "endpoint-independent",
    level: "info",
    message: "NAT observed",
  },
  {
    name: "a port per destination",
    seen: observe("203.0.113.7", [40001, 40002]),
    summary: "destination-dependent",
    level: "warn",
    message: /symmetric NAT/,
  },
  {
    name: "one server only",
    seen: observe("203.0.113.7", [40001]),
    summary: undefined,
    level: "info",
    message: "NAT observed",
  },
  { name: "the own address", seen: observe(LOCAL, [51820, 51820]), summary: "no NAT", level: "info", message: /./ },
  {
    name: "an address of a provider's network",
    seen: observe("100.64.0.9", [40001, 40001]),
    summary: "endpoint-independent",
    level: "info",
    message: "mapped address is not public",
  },
] as const;

for (const { name, seen, summary, level, message } of cases) {
  test(`summarizeMapping and reportMapping: ${name}`, () => {
    assert.equal(summarizeMapping(seen), summary);
    const log = createFakeLog();
    reportMapping(seen, { family: "ipv4", log });
    assert.equal(log.lines.length, 1);
    const [line] = log.lines;
    assert.equal(line?.level, level);
    assert.match(line?.msg ?? "", new RegExp(message));
    assert.equal(line?.family, "ipv4");
  });
}

test("describeNat says in words what was seen, and of which scope the address is", () => {
  assert.deepEqual(describeNat(observe("203.0.113.7", [51820, 51820]), "ipv4"), {
    family: "ipv4",
    mapping: "endpoint-independent",
    behavior: "endpoint-independent",
    preservesPort: true,
    scope: "public",
  });
  assert.equal(describeNat(observe(LOCAL, [51820, 51820]), "ipv4").behavior, "no NAT");
  assert.equal(describeNat(observe("100.64.0.9", [1, 2]), "ipv4").scope, "cgnat");
  assert.equal(describeNat(observe("203.0.113.7", [40001]), "ipv4").mapping, undefined);
});

test("natClassOf and mappingOf are inverse", () => {
  for (const mapping of ["endpoint-independent", "destination-dependent", "no NAT", undefined] as const) {
    assert.equal(mappingOf(natClassOf(mapping)), mapping);
  }
});

test("createNatWatch keeps the last observation, also when the next one fails", async () => {
  const clock = createFakeClock();
  const log = createFakeLog();
  let fails = false;
  const report = describeNat(observe("203.0.113.7", [40001, 40001]), "ipv4");
  const watch = createNatWatch({
    clock,
    log,
    signal: new AbortController().signal,
    run: async () => (fails ? Promise.reject(new Error("no answer")) : report),
  });
  const device = createReading();
  assert.equal(watch.current(), undefined);
  await clock.advance(5);
  await watch.observe(device);
  fails = true;
  await clock.advance(5);
  await watch.observe(device);
  assert.deepEqual(watch.current(), { report, atMs: 5 });
  assert.equal(log.find("NAT could not be observed", "warn").length, 1);
});

const at = (host: string, port: number, index: number): MappingSample => ({
  server: { family: "ipv4", host: `198.51.100.${index}`, port: 3478 },
  mapped: { family: "ipv4", host, port },
  serverName: `stun${index}.example:3478`,
});
const facts = { localPort: 51820, localAddresses: [LOCAL] };

test("a server that others contradict is named, and is no reason to call the NAT symmetric", () => {
  for (const [host, why] of [
    ["172.17.0.1", /no public address, and others contradict it/],
    ["198.18.0.9", /alone says/],
  ] as const) {
    const seen = judgeMapping([at(host, 7, 1), at("203.0.113.7", 9, 2), at("203.0.113.7", 9, 3)], facts);
    const log = createFakeLog();
    reportMapping(seen, { family: "ipv4", log });
    const [line] = log.find("STUN server is contradicted by others", "warn");
    assert.equal(line?.server, "stun1.example:3478");
    assert.equal(line?.endpoint, `${host}:7`);
    assert.match(line?.reason ?? "", why);
    assert.equal(log.lines.length, 2);
    assert.equal(log.find("NAT observed", "info")[0]?.mapping, "endpoint-independent");
    const report = describeNat(seen, "ipv4");
    assert.equal(report.mapping, "endpoint-independent");
    assert.equal(report.scope, "public");
    assert.match(serverCauses(report)[0]?.text ?? "", why);
    assert.ok(isContradicted(report, { family: "ipv4", host, port: 7 }));
    assert.ok(!isContradicted(report, { family: "ipv4", host: "203.0.113.7", port: 9 }));
    assert.ok(!isContradicted(report, undefined));
  }
});

test("two servers that see different hosts are said to contradict each other, and nothing is said of the NAT", () => {
  const seen = judgeMapping([at("198.18.0.9", 7, 1), at("203.0.113.7", 9, 2)], facts);
  const log = createFakeLog();
  reportMapping(seen, { family: "ipv4", log });
  const [line] = log.find("STUN servers contradict each other", "warn");
  assert.match(line?.reason ?? "", /stun1\.example:3478 says 198\.18\.0\.9:7, stun2\.example:3478 says 203/);
  assert.equal(describeNat(seen, "ipv4").mapping, undefined);
  assert.equal(log.find("NAT observed", "info")[0]?.mapping, "unknown");
});
