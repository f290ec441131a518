import assert from "node:assert/strict";
import { test } from "node:test";
import type { Family } from "../src/address.ts";
import { StunmeshError } from "../src/errors.ts";
import type { Pinger } from "../src/platform/types.ts";
import { createProvoker, provokeAny } from "../src/provoke.ts";
import { createFakeClock } from "./fakes/clock.ts";

const { signal } = new AbortController();

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

test("provokeAny: what cannot be sent to one target is sent to the next, and no further", async () => {
  const asked: string[] = [];
  const broken = new Set(["fd00::2"]);
  const provoker = {
    async provoke({ target }: { readonly target: string }) {
      asked.push(target);
      if (broken.has(target)) throw new StunmeshError("SYSTEM_CALL_FAILED", `Cannot ping ${target}: ENETUNREACH`);
      return undefined;
    },
  };
  const targets = (["fd00::2", "10.99.0.2", "10.99.0.3"] as const).map((target) => ({
    family: target.includes(":") ? ("ipv6" as const) : ("ipv4" as const),
    target,
  }));
  assert.deepEqual(await provokeAny(provoker, { targets, signal }), { target: "10.99.0.2", rttMs: undefined });
  assert.deepEqual(asked, ["fd00::2", "10.99.0.2"]);
  for (const { target } of targets) broken.add(target);
  await assert.rejects(provokeAny(provoker, { targets, signal }), { message: "Cannot ping fd00::2: ENETUNREACH" });
});

test("provokeAny: who is aborted tries no other target", async () => {
  const stop = new AbortController();
  let asked = 0;
  const provoker = {
    async provoke() {
      asked++;
      stop.abort();
      throw stop.signal.reason;
    },
  };
  const targets = ["10.99.0.2", "10.99.0.3"].map((target) => ({ family: "ipv4" as const, target }));
  await assert.rejects(provokeAny(provoker, { targets, signal: stop.signal }), { name: "AbortError" });
  assert.equal(asked, 1);
});
