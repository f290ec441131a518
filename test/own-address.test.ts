import assert from "node:assert/strict";
import { test } from "node:test";
import type { Family, TransportAddress } from "../src/address.ts";
import { StunmeshError } from "../src/errors.ts";
import { createOwnAddress, type Discovered } from "../src/own-address.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createReading } from "./fakes/device.ts";
import { createFakeLog } from "./fakes/log.ts";

const ipv4: TransportAddress = { family: "ipv4", host: "203.0.113.7", port: 40_001 };
const ipv6: TransportAddress = { family: "ipv6", host: "2001:db8::7", port: 51_820 };
const noAnswer = new StunmeshError("STUN_NO_ANSWER", "Cannot discover: no server answered");

function start(protocol: "ipv4" | "ipv6" | "dualstack" = "dualstack") {
  const clock = createFakeClock();
  const log = createFakeLog();
  const stop = new AbortController();
  const changes: object[] = [];
  const calls: { readonly family: Family; readonly port: number }[] = [];
  /** What the network says; a family with a delay answers late, one with an error fails. */
  const network: { [family in Family]: { address: TransportAddress; delayMs: number; error?: unknown } } = {
    ipv4: { address: ipv4, delayMs: 20 },
    ipv6: { address: ipv6, delayMs: 20 },
  };
  const own = createOwnAddress({
    config: { name: "wg0", protocol, capture: "auto", listenInterfaces: [], listenDefaultRoute: false, peers: [] },
    async discover(device, { family, signal }): Promise<Discovered> {
      calls.push({ family, port: device.listenPort });
      const { address, delayMs, error } = network[family];
      await clock.sleep(delayMs, signal);
      if (error !== undefined) throw error;
      return { address, server: "198.51.100.1:3478", rttMs: 12.34 };
    },
    clock,
    log,
    onChange: (_device, record) => changes.push(record),
  });
  const device = createReading();
  /** Learns while time goes on; how long it took as well. */
  async function learn(maxAgeMs = 0, from = device) {
    const startMs = clock.monotonic();
    let result: PromiseSettledResult<object> | undefined;
    let tookMs = 0;
    const learning = Promise.allSettled([own.learn(from, { maxAgeMs, signal: stop.signal })]).then(([settled]) => {
      result = settled;
      tookMs = clock.monotonic() - startMs;
    });
    while (!result) await clock.advance(10);
    await learning;
    return { tookMs, result, record: result.status === "fulfilled" ? result.value : undefined };
  }
  return { clock, log, stop, changes, calls, network, own, device, learn };
}

test("learn asks for the families of the interface, at the same time", async () => {
  for (const [protocol, expected] of [
    ["ipv4", { ipv4 }],
    ["ipv6", { ipv6 }],
    ["dualstack", { ipv4, ipv6 }],
  ] as const) {
    const { own, learn } = start(protocol);
    const { tookMs, record } = await learn();
    assert.deepEqual(record, expected);
    assert.deepEqual(own.current(), expected);
    assert.equal(tookMs, 20);
  }
});

test("the address is said when it is new or another one, else at debug", async () => {
  const { log, network, learn, changes } = start("ipv4");
  await learn();
  await learn();
  network.ipv4.address = { ...ipv4, port: 40_002 };
  await learn();
  assert.deepEqual(
    log.find("discovered IPv4 endpoint").map(({ level, ipv4, previous, ms }) => ({ level, ipv4, previous, ms })),
    [
      { level: "info", ipv4: "203.0.113.7:40001", previous: undefined, ms: 12.3 },
      { level: "debug", ipv4: "203.0.113.7:40001", previous: undefined, ms: 12.3 },
      { level: "info", ipv4: "203.0.113.7:40002", previous: "203.0.113.7:40001", ms: 12.3 },
    ],
  );
  assert.equal(changes.length, 2);
});

test("a family that does not answer delays the other by 2 s at most", async () => {
  for (const [silent, heard] of [
    ["ipv4", "ipv6"],
    ["ipv6", "ipv4"],
  ] as const) {
    const { network, learn, log } = start();
    network[silent].delayMs = 60_000;
    const { tookMs, record } = await learn();
    assert.deepEqual(record, { [heard]: heard === "ipv4" ? ipv4 : ipv6 });
    assert.ok(tookMs >= 2_000 && tookMs <= 2_100, String(tookMs));
    const [line] = log.find("discovery failed", "warn");
    assert.equal(line?.family, silent);
    assert.equal(line?.code, "STUN_NO_ANSWER");
  }
});

test("a slow family that answers within the 2 s is in the record", async () => {
  const { network, learn } = start();
  network.ipv4.delayMs = 1_900;
  assert.deepEqual((await learn()).record, { ipv4, ipv6 });
});

test("a family that fails does not delay the other, and is said once until it works again", async () => {
  const { network, learn, log } = start();
  network.ipv6.error = noAnswer;
  assert.equal((await learn()).tookMs, 20);
  await learn();
  assert.equal(log.find("discovery failed", "warn").length, 1);
  assert.equal(log.find("discovery failed", "debug").length, 1);
  delete network.ipv6.error;
  assert.deepEqual((await learn()).record, { ipv4, ipv6 });
  assert.equal(log.find("discovery works again", "info").length, 1);
});

test("without any answer learn rejects with the reason, and what was known stays", async () => {
  const { network, learn, own } = start();
  await learn();
  network.ipv4.error = noAnswer;
  network.ipv6.error = noAnswer;
  const { result } = await learn();
  assert.equal(result.status === "rejected" && result.reason, noAnswer);
  assert.deepEqual(own.current(), { ipv4, ipv6 });
});

test("without any answer in time learn rejects after 12 s, whatever discovery does", async () => {
  const { network, learn } = start();
  network.ipv4.delayMs = 2 ** 31;
  network.ipv6.delayMs = 2 ** 31;
  const { result, tookMs } = await learn();
  assert.equal(result.status === "rejected" && result.reason.code, "TIMEOUT");
  assert.ok(tookMs >= 12_000 && tookMs < 14_200, String(tookMs));
});

test("an answer that is young enough is not asked for again", async () => {
  const { clock, calls, learn } = start("ipv4");
  await learn();
  await clock.advance(5_000);
  await learn(5_001);
  assert.equal(calls.length, 1);
  await learn(5_000);
  assert.equal(calls.length, 2);
});

test("another listen port is another mapping, however young the answer", async () => {
  const { calls, learn, device } = start("ipv4");
  await learn();
  await learn(60_000, { ...device, listenPort: 40_404 });
  assert.deepEqual(
    calls.map(({ port }) => port),
    [51_820, 40_404],
  );
});

test("everybody who asks meanwhile shares one discovery", async () => {
  const { clock, calls, own, stop, device } = start("ipv4");
  const learning = Array.from({ length: 50 }, () => own.learn(device, { maxAgeMs: 0, signal: stop.signal }));
  await clock.advance(100);
  for (const record of await Promise.all(learning)) assert.deepEqual(record, { ipv4 });
  assert.equal(calls.length, 1);
});

test("a discovery from the port before is not taken for one from the new port", async () => {
  const { clock, calls, own, network, stop, device } = start("ipv4");
  const before = own.learn(device, { maxAgeMs: 1_000, signal: stop.signal });
  await clock.advance(10);
  const moved = { ...device, listenPort: 40_404 };
  const after = own.learn(moved, { maxAgeMs: 1_000, signal: stop.signal });
  network.ipv4.address = { ...ipv4, port: 50_001 };
  await clock.advance(200);
  await before;
  assert.deepEqual(await after, { ipv4: { ...ipv4, port: 50_001 } });
  assert.deepEqual(
    calls.map(({ port }) => port),
    [51_820, 40_404],
  );
});

test("learn ends at once when aborted, and leaves no timer", async () => {
  const { clock, own, stop, device, log } = start();
  const learning = own.learn(device, { maxAgeMs: 0, signal: stop.signal });
  await clock.advance(5);
  stop.abort();
  await assert.rejects(learning, { name: "AbortError" });
  await clock.advance(0);
  assert.equal(clock.sleeping, 0);
  assert.deepEqual(log.lines, []);
});

test("of two families that fail the one in which a server answered is told of", async () => {
  const unusable = new StunmeshError("STUN_UNUSABLE", "Cannot learn the mapped IPv6 address: answered error 300");
  const notSent = new StunmeshError("STUN_NOT_SENT", "Cannot discover: no route");
  for (const [one, other, telling] of [
    [noAnswer, unusable, unusable],
    [unusable, noAnswer, unusable],
    [notSent, noAnswer, noAnswer],
    [notSent, notSent, notSent],
  ]) {
    const { network, learn, own } = start();
    network.ipv4.error = one;
    network.ipv6.error = other;
    await learn();
    assert.equal(own.details().failure?.error, telling);
  }
});
