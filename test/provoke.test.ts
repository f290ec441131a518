import assert from "node:assert/strict";
import { test } from "node:test";
import type { Family } from "../src/address.ts";
import { StunmeshError } from "../src/errors.ts";
import type { Pinger } from "../src/platform/types.ts";
import { createProvoker, selectProvokeTarget } from "../src/provoke.ts";
import { createFakeClock } from "./fakes/clock.ts";

const { signal } = new AbortController();

const targets: readonly {
  readonly name: string;
  readonly ping?: string;
  readonly allowed: readonly string[];
  readonly expected: readonly [Family, string] | undefined;
}[] = [
  { name: "no allowed IPs: nothing", allowed: [], expected: undefined },
  {
    name: "no allowed IPs, though there is a ping target: nothing",
    ping: "10.99.0.2",
    allowed: [],
    expected: undefined,
  },
  { name: "a host address is taken", allowed: ["10.99.0.2/32"], expected: ["ipv4", "10.99.0.2"] },
  { name: "a host address before any network", allowed: ["10.0.0.0/8", "fd00::2/128"], expected: ["ipv6", "fd00::2"] },
  { name: "the first host of a network", allowed: ["192.168.7.0/24"], expected: ["ipv4", "192.168.7.1"] },
  { name: "the first host of an IPv6 network", allowed: ["fd00:7::/64"], expected: ["ipv6", "fd00:7::1"] },
  { name: "a network before everything", allowed: ["0.0.0.0/0", "10.0.0.0/8"], expected: ["ipv4", "10.0.0.1"] },
  { name: "everything: an address of documentation", allowed: ["0.0.0.0/0"], expected: ["ipv4", "192.0.2.1"] },
  { name: "everything, IPv6", allowed: ["::/0"], expected: ["ipv6", "2001:db8::1"] },
  {
    name: "a ping target",
    ping: "10.99.0.77",
    allowed: ["10.99.0.2/32", "10.99.0.0/24"],
    expected: ["ipv4", "10.99.0.77"],
  },
  {
    name: "an IPv6 ping target",
    ping: "fd00::77",
    allowed: ["10.99.0.2/32", "fd00::/64"],
    expected: ["ipv6", "fd00::77"],
  },
  {
    name: "a ping target that is routed elsewhere is none",
    ping: "10.98.0.1",
    allowed: ["10.99.0.0/24"],
    expected: ["ipv4", "10.99.0.1"],
  },
  {
    name: "a ping target that is a name is none",
    ping: "host.example",
    allowed: ["10.99.0.2/32"],
    expected: ["ipv4", "10.99.0.2"],
  },
  { name: "a ping target within everything", ping: "8.8.8.8", allowed: ["0.0.0.0/0"], expected: ["ipv4", "8.8.8.8"] },
  {
    name: "a prefix that does not end at a byte",
    ping: "10.99.3.1",
    allowed: ["10.99.0.0/22"],
    expected: ["ipv4", "10.99.3.1"],
  },
  {
    name: "the neighbour of such a network",
    ping: "10.99.4.1",
    allowed: ["10.99.0.0/22"],
    expected: ["ipv4", "10.99.0.1"],
  },
  { name: "text that is no network", allowed: ["nonsense", "10.0.0.0", "10.0.0.0/x"], expected: undefined },
];

for (const { name, ping, allowed, expected } of targets) {
  test(`selectProvokeTarget: ${name}`, () => {
    assert.deepEqual(selectProvokeTarget(ping, allowed), expected && { family: expected[0], target: expected[1] });
  });
}

/** Pingers whose requests the test answers. */
function createPingers() {
  const opened: Family[] = [];
  const answers: ((rttMs: number | undefined) => void)[] = [];
  const asked: string[] = [];
  let open = 0;
  let error: unknown;
  return {
    opened,
    answers,
    asked,
    openNow: () => open,
    failWith(failure: unknown) {
      error = failure;
    },
    async openPinger(family: Family): Promise<Pinger> {
      opened.push(family);
      await Promise.resolve();
      if (error !== undefined) throw error;
      open++;
      return {
        ping(target, { timeoutMs }) {
          asked.push(`${target} ${timeoutMs}`);
          return new Promise((resolve) => answers.push(resolve));
        },
        async close() {
          open--;
        },
      };
    },
  };
}

const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

test("provoke pings and hands on the round-trip time; who does not answer gets another pinger", async () => {
  const pingers = createPingers();
  const provoker = createProvoker({ openPinger: pingers.openPinger, clock: createFakeClock() });
  const results: (number | undefined)[] = [12.5, undefined, 3];
  for (const [index, wanted] of results.entries()) {
    const timeoutMs = index === 1 ? { timeoutMs: 700 } : {};
    const asked = provoker.provoke({ family: "ipv4", target: "10.99.0.2", ...timeoutMs }, signal);
    await settled();
    pingers.answers[index]?.(wanted);
    assert.equal(await asked, wanted);
  }
  assert.deepEqual(pingers.asked, ["10.99.0.2 2000", "10.99.0.2 700", "10.99.0.2 2000"]);
  assert.deepEqual(pingers.opened, ["ipv4", "ipv4"]);
  assert.equal(pingers.openNow(), 1);
});

test("requests share one pinger of their family, closed when none came for a while", async () => {
  const pingers = createPingers();
  const clock = createFakeClock();
  const provoker = createProvoker({ openPinger: pingers.openPinger, clock });
  const requests = ["10.0.0.1", "10.0.0.2"].map((target) => provoker.provoke({ family: "ipv4", target }, signal));
  const other = provoker.provoke({ family: "ipv6", target: "fd00::1" }, signal);
  await settled();
  assert.deepEqual(pingers.opened, ["ipv4", "ipv6"]);
  for (const answer of pingers.answers) answer(1);
  await Promise.all([...requests, other]);
  for (let round = 0; round < 5; round++) {
    await clock.advance(5_000);
    const again = provoker.provoke({ family: "ipv4", target: "10.0.0.1" }, signal);
    await settled();
    pingers.answers.at(-1)?.(1);
    await again;
  }
  assert.deepEqual(pingers.opened, ["ipv4", "ipv6"]);
  assert.equal(pingers.openNow(), 1);
  await clock.advance(20_000);
  assert.equal(pingers.openNow(), 0);
  assert.equal(clock.sleeping, 0);
});

test("a pinger of which one request is lost serves those that still wait, and is closed after the last", async () => {
  const pingers = createPingers();
  const clock = createFakeClock();
  const provoker = createProvoker({ openPinger: pingers.openPinger, clock });
  const requests = ["10.0.0.1", "10.0.0.2"].map((target) => provoker.provoke({ family: "ipv4", target }, signal));
  await settled();
  pingers.answers[0]?.(undefined);
  assert.equal(await requests[0], undefined);
  assert.equal(pingers.openNow(), 1);
  pingers.answers[1]?.(4);
  assert.equal(await requests[1], 4);
  assert.equal(pingers.openNow(), 0);
});

test("a pinger that cannot be opened fails all who wait for it, and is opened anew for the next", async () => {
  const pingers = createPingers();
  const clock = createFakeClock();
  const provoker = createProvoker({ openPinger: pingers.openPinger, clock });
  pingers.failWith(new StunmeshError("PERMISSION_DENIED", "Cannot open a socket: CAP_NET_RAW is missing"));
  const requests = ["10.0.0.1", "10.0.0.2"].map((target) => provoker.provoke({ family: "ipv4", target }, signal));
  for (const request of requests) await assert.rejects(request, { code: "PERMISSION_DENIED" });
  assert.equal(pingers.opened.length, 1);
  pingers.failWith(undefined);
  const next = provoker.provoke({ family: "ipv4", target: "10.0.0.1" }, signal);
  await settled();
  pingers.answers[0]?.(3);
  assert.equal(await next, 3);
  assert.equal(pingers.opened.length, 2);
  await clock.advance(20_000);
  assert.equal(pingers.openNow(), 0);
});
