import assert from "node:assert/strict";
import { test } from "node:test";
import type { TransportAddress } from "../src/address.ts";
import { StunmeshError } from "../src/errors.ts";
import { createPeerState, type PeerState } from "../src/peer-state.ts";
import { createSettler } from "../src/settle.ts";
import type { PeerEndpoint, WireGuardPeer } from "../src/wg/types.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createPeerConfig, createPeerReading, createReading } from "./fakes/device.ts";
import { createFakeLog } from "./fakes/log.ts";

const at = (port: number): TransportAddress => ({ family: "ipv4", host: "203.0.113.2", port });

interface StartOptions {
  readonly peers?: number;
  /** How long WireGuard takes to answer. */
  readonly delayMs?: number;
}

/** A device with `peers` peers, each with a record that says port 1000, 1001 ... */
function start({ peers: count = 1, delayMs = 0 }: StartOptions = {}) {
  const clock = createFakeClock(Date.UTC(2026, 10, 1));
  const log = createFakeLog();
  const stop = new AbortController();
  const configs = Array.from({ length: count }, (_, index) => createPeerConfig({ name: `site${index}` }));
  const readings = new Map<number, Partial<WireGuardPeer>>();
  const missing = new Set<number>();
  const device = createReading();
  const calls = { reads: 0, writes: [] as (readonly PeerEndpoint[])[] };
  const provoked: string[] = [];
  const answered: string[] = [];
  const addresses: string[] = [];
  const unsendable = new Set<string>();
  const wireguard = {
    error: undefined as unknown,
    writeError: undefined as unknown,
    async readDevice() {
      calls.reads++;
      if (delayMs > 0) await clock.sleep(delayMs);
      if (wireguard.error) throw wireguard.error;
      const present = configs.flatMap((config, index) =>
        missing.has(index)
          ? []
          : [createPeerReading(config, { allowedIps: [`10.99.0.${index + 2}/32`], ...readings.get(index) })],
      );
      return { ...device, peers: present };
    },
    async setPeerEndpoints(_name: string, updates: readonly PeerEndpoint[]) {
      if (wireguard.writeError) throw wireguard.writeError;
      const written = updates.filter(({ publicKey }) => !wireguard.movedMeanwhile.has(publicKey));
      calls.writes.push(written.map(({ publicKey, endpoint }) => ({ publicKey, endpoint })));
      return written;
    },
    movedMeanwhile: new Set<Uint8Array>(),
  };
  const settler = createSettler({
    interface: "wg0",
    wireguard,
    provoker: {
      async provoke({ target }) {
        provoked.push(target);
        if (unsendable.has(target)) throw new StunmeshError("SYSTEM_CALL_FAILED", "Cannot send: ENETUNREACH");
        return 12;
      },
    },
    hostAddresses: () => ({ tunnel: addresses, all: addresses }),
    own: () => undefined,
    clock,
    log,
    onAnswer: ({ config }) => answered.push(config.name),
  });
  const peers = configs.map((config, index): PeerState => {
    const state = createPeerState(config);
    state.record = { endpoints: { ipv4: at(1_000 + index) } };
    return state;
  });
  async function settle(which: readonly PeerState[] = peers, always?: "send") {
    const settling = Promise.allSettled(which.map((peer) => settler.settle(peer, { always, signal: stop.signal })));
    await clock.advance(delayMs * 2 + 10);
    return settling;
  }
  return {
    clock,
    log,
    stop,
    peers,
    readings,
    missing,
    calls,
    provoked,
    answered,
    addresses,
    unsendable,
    wireguard,
    settler,
    settle,
  };
}

const alive = (): Partial<WireGuardPeer> => ({ latestHandshakeMs: Date.UTC(2026, 10, 1), endpoint: at(7) });
const values = (results: readonly PromiseSettledResult<unknown>[]) =>
  results.map((result) => (result.status === "fulfilled" ? result.value : result.reason));

test("many peers share one look and one write", async () => {
  const { settle, calls, peers, provoked } = start({ peers: 30 });
  const results = values(await settle());
  assert.ok(results.every((value) => value === "set"));
  assert.equal(calls.reads, 1);
  assert.equal(calls.writes.length, 1);
  assert.deepEqual(
    calls.writes[0]?.map(({ endpoint: { port } }) => port),
    peers.map((_, index) => 1_000 + index),
  );
  assert.equal(provoked.length, 30);
});

test("a peer that WireGuard heard from while it was decided about is left alone", async () => {
  const { settle, wireguard, peers, log, provoked } = start({ peers: 2 });
  wireguard.movedMeanwhile.add(peers[0]!.config.publicKey);
  assert.deepEqual(values(await settle()), ["leave", "set"]);
  assert.deepEqual(
    log.find("endpoint set").map(({ peer }) => peer),
    ["site1"],
  );
  assert.equal(provoked.length, 1);
});

test("a peer that comes later is looked at anew", async () => {
  const { settle, calls, peers } = start({ peers: 2 });
  await settle(peers.slice(0, 1));
  await settle(peers.slice(1));
  assert.equal(calls.reads, 2);
  assert.equal(calls.writes.length, 2);
});

test("a peer that comes while WireGuard is asked is not lost", async () => {
  const { clock, calls, peers, settler, stop } = start({ peers: 2, delayMs: 100 });
  const [first, second] = peers;
  assert.ok(first && second);
  const one = settler.settle(first, { signal: stop.signal });
  await clock.advance(50);
  const two = settler.settle(second, { signal: stop.signal });
  await clock.advance(500);
  assert.deepEqual(await Promise.all([one, two]), ["set", "set"]);
  assert.equal(calls.reads, 2);
});

test("a tunnel that came up while a slow store was asked is not touched", async () => {
  const { settle, settler, readings, calls, peers, provoked, clock } = start();
  const device = createReading([createPeerReading(peers[0]!.config)]);
  settler.observe(device, peers);
  assert.equal(peers[0]?.liveness, "silent");
  await clock.advance(5_000);
  readings.set(0, { ...alive(), latestHandshakeMs: clock.now() });
  assert.deepEqual(values(await settle()), ["leave"]);
  assert.deepEqual(calls.writes, []);
  assert.deepEqual(provoked, []);
  assert.equal(peers[0]?.liveness, "alive");
});

test("only those that need it are written", async () => {
  const { settle, readings, missing, calls, provoked } = start({ peers: 4 });
  readings.set(0, alive());
  readings.set(1, { endpoint: at(1_001) });
  missing.add(2);
  assert.deepEqual(values(await settle()), ["leave", "send", "missing", "set"]);
  assert.deepEqual(
    calls.writes.map((updates) => updates.map(({ endpoint: { port } }) => port)),
    [[1_003]],
  );
  // One for the peer that is tried again, one for the one that was moved.
  assert.equal(provoked.length, 2);
});

test("nothing is written and nothing sent when nothing is known", async () => {
  const { settle, calls, peers, provoked } = start();
  delete peers[0]?.record;
  assert.deepEqual(values(await settle()), ["wait"]);
  assert.deepEqual(calls.writes, []);
  assert.deepEqual(provoked, []);
});

test("WireGuard failing rejects all, and the next time works", async () => {
  const { settle, wireguard, calls, log, peers } = start({ peers: 3 });
  const error = new StunmeshError("WG_FAILED", "Cannot ask WireGuard: it is busy");
  wireguard.error = error;
  assert.deepEqual(values(await settle()), [error, error, error]);
  delete wireguard.error;
  wireguard.writeError = error;
  assert.deepEqual(values(await settle()), [error, error, error]);
  assert.equal(log.find("endpoint set").length, 0);
  assert.equal(peers[0]?.trial, undefined);
  delete wireguard.writeError;
  assert.deepEqual(values(await settle()), ["set", "set", "set"]);
  assert.equal(calls.writes.length, 1);
});

test("a write is said with the endpoint before it", async () => {
  const { settle, readings, log } = start();
  readings.set(0, { endpoint: at(7) });
  await settle();
  assert.deepEqual(log.find("endpoint set"), [
    { level: "info", msg: "endpoint set", peer: "site0", endpoint: "203.0.113.2:1000", previous: "203.0.113.2:7" },
  ]);
});

test("the endpoint that is tried is remembered until the tunnel works", async () => {
  const { settle, readings, peers, clock } = start();
  await settle();
  const since = peers[0]?.trial?.sinceMs;
  assert.deepEqual(peers[0]?.trial?.endpoint, at(1_000));
  readings.set(0, { endpoint: at(1_000) });
  await clock.advance(5_000);
  await settle();
  assert.equal(peers[0]?.trial?.sinceMs, since);
  readings.set(0, { endpoint: at(1_000), latestHandshakeMs: clock.now() });
  await settle();
  assert.equal(peers[0]?.trial, undefined);
  assert.deepEqual(peers[0]?.worked, at(1_000));
});

test("a peer without allowed IPs gets its endpoint and no packet", async () => {
  const { settle, readings, provoked, log } = start();
  readings.set(0, { allowedIps: [] });
  assert.deepEqual(values(await settle()), ["set"]);
  assert.deepEqual(provoked, []);
  assert.equal(log.find("no packet sent through the tunnel", "debug").length, 1);
});

test("after a change of the own address a packet is sent through a tunnel that works, too", async () => {
  const { settle, readings, provoked, answered, calls, peers } = start();
  readings.set(0, alive());
  assert.deepEqual(values(await settle(peers, "send")), ["leave"]);
  assert.deepEqual(provoked, ["10.99.0.2"]);
  assert.deepEqual(answered, ["site0"]);
  assert.deepEqual(calls.writes, []);
});

test("settle rejects when aborted, also while it waits for others", async () => {
  const { settler, peers, stop, calls, clock } = start();
  const settling = settler.settle(peers[0]!, { signal: stop.signal });
  stop.abort();
  await assert.rejects(settling, { name: "AbortError" });
  assert.equal(calls.reads, 0);
  assert.equal(clock.sleeping, 0);
});

test("the packet that opens the tunnel goes to no address of this host, and by another way when it cannot be sent", async () => {
  const { settle, readings, provoked, addresses, unsendable } = start();
  addresses.push("10.99.0.1");
  readings.set(0, { allowedIps: ["10.99.0.0/24"] });
  await settle();
  assert.deepEqual(provoked.splice(0), ["10.99.0.2"]);
  readings.set(0, { allowedIps: ["::/0", "0.0.0.0/0"] });
  await settle();
  assert.deepEqual(provoked.splice(0), ["192.0.2.1"]);
  readings.set(0, { allowedIps: ["10.99.0.7/32", "fd00::/64"] });
  unsendable.add("10.99.0.7");
  await settle();
  assert.deepEqual(provoked, ["10.99.0.7", "fd00::1"]);
});

test("an answer counts when WireGuard has received something; else another address is pinged", async () => {
  const { settle, readings, settler, peers, provoked, log, clock } = start();
  const allowedIps = ["10.99.0.0/24", "10.98.0.0/24"];
  const look = (receivedBytes: number) => {
    const reading = { endpoint: at(1_000), allowedIps, receivedBytes };
    readings.set(0, reading);
    settler.observe(createReading([createPeerReading(peers[0]!.config, reading)]), peers);
  };
  look(100);
  await settle();
  assert.deepEqual(provoked.splice(0), ["10.99.0.1"]);
  look(100);
  assert.equal(log.find("answer, but not through the tunnel", "debug").length, 0);
  await clock.advance(1_000);
  look(100);
  assert.equal(log.find("answer, but not through the tunnel", "debug").length, 1);
  assert.equal(log.find("answer through the tunnel", "debug").length, 0);
  await settle();
  assert.deepEqual(provoked.splice(0), ["10.98.0.1"]);
  look(228);
  assert.equal(log.find("answer through the tunnel", "debug").length, 1);
  await settle();
  assert.deepEqual(provoked, ["10.99.0.1"]);
});
