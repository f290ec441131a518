/** Whose turn it is to make WireGuard start a handshake, as settle.ts acts on it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { TransportAddress } from "../src/address.ts";
import { createPeerState } from "../src/peer-state.ts";
import type { NatClass } from "../src/record.ts";
import { createSettler } from "../src/settle.ts";
import type { PeerEndpoint, WireGuardPeer } from "../src/wg/types.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createPeerConfig, createPeerReading, createReading } from "./fakes/device.ts";
import { createFakeLog } from "./fakes/log.ts";

const at = (port: number): TransportAddress => ({ family: "ipv4", host: "203.0.113.2", port });
const [low, high] = [Uint8Array.from({ length: 32 }, () => 1), Uint8Array.from({ length: 32 }, () => 2)];

/** One peer with a record, seen from the side with the lower or the higher key. */
function start(side: "lower" | "higher", nat?: NatClass) {
  const clock = createFakeClock(Date.UTC(2026, 10, 1));
  const stop = new AbortController();
  const config = createPeerConfig({ publicKey: side === "lower" ? high : low });
  const state = { reading: {} as Partial<WireGuardPeer> };
  const written: number[] = [];
  const opened: { readonly port: number; readonly signal: AbortSignal; hear(): void }[] = [];
  let provoked = 0;
  const settler = createSettler({
    interface: "wg0",
    wireguard: {
      async readDevice() {
        const publicKey = side === "lower" ? low : high;
        return createReading([createPeerReading(config, state.reading)], { publicKey });
      },
      async setPeerEndpoints(_name: string, updates: readonly PeerEndpoint[]) {
        for (const { endpoint } of updates) {
          written.push(endpoint.port);
          state.reading = { ...state.reading, endpoint };
        }
        return updates;
      },
    },
    provoker: {
      async provoke() {
        provoked++;
        return undefined;
      },
    },
    natOpener: {
      open(_device, { endpoint, signal, onHeard }) {
        opened.push({ port: endpoint.port, signal, hear: onHeard });
        return new Promise((resolve) => {
          signal.addEventListener("abort", () => resolve());
        });
      },
    },
    nat: () => nat,
    hostAddresses: () => ({ tunnel: [], all: [] }),
    own: () => undefined,
    clock,
    log: createFakeLog(),
    onAnswer: () => undefined,
  });
  const peer = createPeerState(config);
  peer.record = { endpoints: { ipv4: at(1_000) }, sequence: 1, isExtended: true };
  async function settle() {
    const settling = settler.settle(peer, { signal: stop.signal });
    await clock.advance(10);
    return settling;
  }
  return { clock, stop, state, peer, written, opened, settle, provoked: () => provoked };
}

test("the side with the lower key opens its nat, and writes as soon as it hears the peer", async () => {
  const { clock, settle, opened, written, provoked } = start("lower");
  assert.equal(await settle(), "open");
  assert.deepEqual(
    opened.map(({ port }) => port),
    [1_000],
  );
  await clock.advance(200);
  assert.deepEqual([written, provoked()], [[], 0]);
  opened[0]?.hear();
  await clock.advance(10);
  assert.deepEqual([written, provoked()], [[1_000], 1]);
  assert.equal(opened.length, 1);
});

test("it does not wait for long for a peer that it does not hear", async () => {
  const { clock, settle, written } = start("lower");
  await settle();
  await clock.advance(650);
  assert.deepEqual(written, []);
  await clock.advance(200);
  assert.deepEqual(written, [1_000]);
});

test("the other side leaves the first handshake to it for a moment, and longer when it hears it", async () => {
  for (const [isHeard, waitMs] of [
    [false, 1_500],
    [true, 7_000],
  ] as const) {
    const { clock, settle, opened, written, provoked } = start("higher");
    assert.equal(await settle(), "open");
    if (isHeard) opened[0]?.hear();
    await clock.advance(waitMs - 100);
    assert.deepEqual([written, provoked()], [[], 0], `${waitMs}`);
    await clock.advance(200);
    assert.deepEqual([written, provoked()], [[1_000], 1], `${waitMs}`);
  }
});

test("looks at the store meanwhile do not make it act sooner", async () => {
  const { clock, settle, written, opened } = start("higher");
  await settle();
  for (const ms of [400, 400, 400]) {
    await clock.advance(ms);
    assert.equal(await settle(), "open");
  }
  assert.deepEqual(written, []);
  assert.equal(opened.length, 1);
});

test("a tunnel that comes up meanwhile is left alone, and the nat opened no further", async () => {
  const { clock, settle, state, opened, written, provoked } = start("higher");
  await settle();
  state.reading = { endpoint: at(7), latestHandshakeMs: clock.now() };
  assert.equal(await settle(), "leave");
  assert.equal(opened[0]?.signal.aborted, true);
  await clock.advance(10_000);
  assert.deepEqual([written, provoked()], [[], 0]);
});

test("another endpoint in the record begins anew, and what was opened before is not", async () => {
  const { clock, settle, peer, opened, written } = start("higher");
  await settle();
  await clock.advance(1_200);
  peer.record = { endpoints: { ipv4: at(2_000) }, sequence: 2, isExtended: true };
  assert.equal(await settle(), "open");
  assert.deepEqual(
    opened.map(({ port, signal }) => [port, signal.aborted]),
    [
      [1_000, true],
      [2_000, false],
    ],
  );
  await clock.advance(1_000);
  assert.deepEqual(written, []);
  await clock.advance(600);
  assert.deepEqual(written, [2_000]);
});

test("a side whose mapping depends on the destination writes at once, and opens its nat by that", async () => {
  const { settle, written } = start("higher", "dep");
  assert.equal(await settle(), "set");
  assert.deepEqual(written, [1_000]);
});

test("stopping ends the waiting", async () => {
  const { clock, settle, stop, opened, written } = start("higher");
  await settle();
  stop.abort();
  await clock.advance(10_000);
  assert.equal(opened[0]?.signal.aborted, true);
  assert.deepEqual(written, []);
  assert.equal(clock.sleeping, 0);
});

test("handshakes in step: the side with the higher key keeps still, and goes on when the peer's does not come", async () => {
  const { clock, settle, state, peer, written, provoked } = start("higher");
  state.reading = { endpoint: at(1_000), receivedBytes: 100 };
  await settle();
  await clock.advance(2_000);
  // Tried, and heard of again and again, without a session.
  for (let receivedBytes = 200; receivedBytes < 900; receivedBytes += 100) {
    state.reading = { ...state.reading, receivedBytes };
    await settle();
    if (written.length > 0) break;
    await clock.advance(1_000);
  }
  assert.deepEqual(written, [9], "an endpoint where nobody is");
  const before = provoked();
  assert.equal(await settle(), "wait");
  await clock.advance(5_800);
  assert.deepEqual([written, provoked()], [[9], before]);
  await clock.advance(300);
  assert.deepEqual(written, [9, 1_000]);
  assert.equal(peer.liveness, "receiving");
});

test("handshakes in step: the peer's that comes is the end of it", async () => {
  const { clock, settle, state, written } = start("higher");
  state.reading = { endpoint: at(1_000), receivedBytes: 100 };
  await settle();
  await clock.advance(2_000);
  for (let receivedBytes = 200; written.length === 0 && receivedBytes < 900; receivedBytes += 100) {
    state.reading = { ...state.reading, receivedBytes };
    await settle();
    await clock.advance(1_000);
  }
  state.reading = { ...state.reading, endpoint: at(1_000), latestHandshakeMs: clock.now(), receivedBytes: 1_000 };
  await clock.advance(10_000);
  assert.deepEqual(written, [9]);
});
