import assert from "node:assert/strict";
import { test } from "node:test";
import { startPeerHealth } from "../src/peer-health.ts";
import { createPeerState } from "../src/peer-state.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createPeerConfig } from "./fakes/device.ts";
import { createFakeLog } from "./fakes/log.ts";

/** One peer in a session, pinged every second; `answers` says whether its pings are answered. */
function start() {
  const clock = createFakeClock();
  const stop = new AbortController();
  const config = createPeerConfig({
    ping: { target: "10.99.0.2", intervalMs: 1_000, timeoutMs: 1_000 },
  });
  const peer = createPeerState(config);
  const suspicions: number[] = [];
  const downs: number[] = [];
  const network = { answers: true };
  startPeerHealth(
    {
      peers: new Map([[config.name, peer]]),
      provoker: {
        async provoke({ timeoutMs = 0 }, signal) {
          const { answers } = network;
          await clock.sleep(answers ? 10 : timeoutMs, signal);
          return answers ? 10 : undefined;
        },
      },
      hostAddresses: () => ({ tunnel: [], all: [] }),
      resolveTarget: async () => [],
      clock,
      log: createFakeLog(),
      onNews: () => undefined,
      onSuspicion: () => suspicions.push(clock.monotonic()),
      onDown: () => downs.push(clock.monotonic()),
    },
    stop.signal,
  );
  /** Lets time pass in a session that is never too old. */
  async function pass(ms: number) {
    for (let left = ms; left > 0; left -= 100) {
      peer.observation = {
        receivedBytes: 0,
        hasKeepalive: false,
        seenAtMs: 0,
        quietSinceMs: 0,
        handshakeAtMs: clock.monotonic(),
        endpoint: { family: "ipv4", host: "203.0.113.7", port: 7 },
      };
      await clock.advance(Math.min(100, left));
    }
  }
  /** Loses exactly one ping. */
  async function loseOne() {
    const before = suspicions.length;
    network.answers = false;
    for (let waited = 0; waited < 3_000 && suspicions.length === before; waited += 100) {
      await pass(100);
      // The second of the pings that confirm a loss must not be lost as well.
      if (waited === 1_000) network.answers = true;
    }
    network.answers = true;
    return suspicions.length > before;
  }
  return { clock, stop, network, suspicions, downs, pass, loseOne };
}

test("the first lost ping is a suspicion, a second before the tunnel counts as dead", async () => {
  const { network, suspicions, downs, pass } = start();
  await pass(5_000);
  assert.deepEqual(suspicions, []);
  network.answers = false;
  await pass(5_000);
  assert.equal(suspicions.length, 1);
  assert.equal(downs.length, 1);
  assert.ok((downs[0] ?? 0) - (suspicions[0] ?? 0) >= 1_000);
});

test("a path that loses a ping now and then is suspected less and less often", async () => {
  const { suspicions, downs, pass, loseOne } = start();
  await pass(5_000);
  for (let minute = 0; minute < 60; minute++) {
    await loseOne();
    await pass(20_000);
  }
  assert.deepEqual(downs, []);
  // After 5, 10, 20, 40 ... 600 s: an hour of losses is a dozen looks at the store, not sixty.
  assert.ok(suspicions.length >= 5 && suspicions.length <= 12, `${suspicions.length}`);
});

test("a tunnel that was really dead makes the next lost ping count at once again", async () => {
  const { network, suspicions, downs, pass, loseOne } = start();
  await pass(5_000);
  for (let times = 0; times < 6; times++) {
    await loseOne();
    await pass(20_000);
  }
  network.answers = false;
  await pass(10_000);
  assert.equal(downs.length, 1);
  network.answers = true;
  await pass(10_000);
  const before = suspicions.length;
  network.answers = false;
  await pass(5_000);
  assert.equal(suspicions.length, before + 1);
  assert.equal(downs.length, 2);
});
