import assert from "node:assert/strict";
import { test } from "node:test";
import type { TransportAddress } from "../src/address.ts";
import type { Observation } from "../src/convergence.ts";
import { actsAtMs, continueOpening, isInStep, patienceWith } from "../src/initiative.ts";
import type { PeerRecord } from "../src/record.ts";

const low = Uint8Array.of(1, 200);
const high = Uint8Array.of(2, 0);
const endpoint: TransportAddress = { family: "ipv4", host: "203.0.113.7", port: 1 };
const ours: PeerRecord = { endpoints: { ipv4: endpoint }, sequence: 1, isExtended: true };
const stunmeshGo: PeerRecord = { endpoints: { ipv4: endpoint } };
const NOW_MS = 1_000_000;

/** A peer whose last handshake and last bytes are so long ago. */
const heard = (options: { readonly handshakeAgoMs?: number; readonly bytesAgoMs: number }): Observation => ({
  receivedBytes: 1,
  hasKeepalive: false,
  seenAtMs: NOW_MS,
  quietSinceMs: NOW_MS - options.bytesAgoMs,
  ...(options.handshakeAgoMs !== undefined && { handshakeAtMs: NOW_MS - options.handshakeAgoMs }),
});

function patience(options: Partial<Parameters<typeof patienceWith>[0]> = {}) {
  const defaults = { ownKey: high, peerKey: low, record: ours, ownNat: undefined, observation: undefined };
  return patienceWith({ ...defaults, monotonicMs: NOW_MS, ...options });
}

test("of two that publish the same way, the one with the lower key acts first", () => {
  const higher = patience();
  const lower = patience({ ownKey: low, peerKey: high });
  assert.ok(higher && lower);
  assert.ok(lower.silentMs < higher.silentMs);
  assert.equal(lower.heardMs, 0);
  // WireGuard's own retry, 5 s and up to a third of one later, comes before the other side joins in.
  assert.ok(higher.heardMs > 5_334);
});

test("a peer that publishes as STUNMESH-go does is left to act, and two that are taken for it do not act together", () => {
  const lower = patience({ ownKey: low, peerKey: high, record: stunmeshGo });
  const higher = patience({ record: stunmeshGo });
  assert.ok(lower && higher);
  assert.ok(lower.silentMs > 0);
  assert.ok(higher.silentMs - lower.silentMs >= 500);
});

test("a side whose mapping depends on the destination acts at once; one whose mapping does not waits", () => {
  assert.equal(patience({ ownNat: "dep" }), undefined);
  assert.ok(patience({ ownNat: "eim" }));
  assert.ok(patience({ ownNat: "none" }));
});

test("nobody is waited for without a record, or while the session of before still carries data", () => {
  assert.equal(patience({ record: undefined }), undefined);
  assert.equal(patience({ observation: heard({ handshakeAgoMs: 60_000, bytesAgoMs: 5_000 }) }), undefined);
});

test("a session in which WireGuard starts handshakes again does not count, nor do bytes without a session", () => {
  assert.ok(patience({ observation: heard({ handshakeAgoMs: 60_000, bytesAgoMs: 15_000 }) }));
  assert.ok(patience({ observation: heard({ handshakeAgoMs: 200_000, bytesAgoMs: 1_000 }) }));
  assert.ok(patience({ observation: heard({ bytesAgoMs: 1_000 }) }));
});

test("a side whose WireGuard lost a session that the peer still has acts at once, for the peer will not", () => {
  assert.equal(patience({ observation: heard({ bytesAgoMs: 1_000 }), aliveAtMs: NOW_MS - 20_000 }), undefined);
  assert.ok(patience({ observation: heard({ bytesAgoMs: 1_000 }), aliveAtMs: NOW_MS - 180_000 }));
  // It has the session still: it is dead for another reason.
  const dead = heard({ handshakeAgoMs: 60_000, bytesAgoMs: 15_000 });
  assert.ok(patience({ observation: dead, aliveAtMs: NOW_MS - 20_000 }));
});

test("an opening goes on for the same endpoint, and begins again for another one", () => {
  const before = { endpoint, sinceMs: 10, heardAtMs: 12 };
  const options = { endpoint, newsAtMs: 5, monotonicMs: 50_000 };
  assert.equal(continueOpening(before, options), before);
  const other = { ...endpoint, port: 2 };
  assert.deepEqual(continueOpening(before, { ...options, endpoint: other }), { endpoint: other, sinceMs: 50_000 });
  assert.deepEqual(continueOpening(undefined, options), { endpoint, sinceMs: 50_000 });
});

test("an opening begins again when the peer is back after a while, and not for everything it publishes", () => {
  const before = { endpoint, sinceMs: 10_000 };
  const at = (newsAtMs: number) => continueOpening(before, { endpoint, newsAtMs, monotonicMs: newsAtMs + 1 });
  assert.equal(at(39_999), before);
  assert.deepEqual(at(40_000), { endpoint, sinceMs: 40_001 });
});

test("actsAtMs() is later, or sooner, once the peer was heard, as the patience says", () => {
  const how = { silentMs: 1_000, heardMs: 0 };
  assert.equal(actsAtMs({ endpoint, sinceMs: 10 }, how), 1_010);
  assert.equal(actsAtMs({ endpoint, sinceMs: 10, heardAtMs: 300 }, how), 300);
});

test("only the higher side yields, to a peer that is heard, was tried for long and has no session, and not all the time", () => {
  const inStep: Parameters<typeof isInStep>[0] = {
    ownKey: high,
    peerKey: low,
    record: ours,
    liveness: "receiving",
    observation: heard({ bytesAgoMs: 1_000 }),
    trial: { endpoint, sinceMs: NOW_MS - 6_000 },
    yieldedAtMs: undefined,
    monotonicMs: NOW_MS,
  };
  assert.equal(isInStep(inStep), true);
  assert.equal(isInStep({ ...inStep, yieldedAtMs: NOW_MS - 20_000 }), true);
  for (const other of [
    { ownKey: low, peerKey: high },
    { record: stunmeshGo },
    { liveness: "silent" },
    { liveness: "alive" },
    { observation: heard({ handshakeAgoMs: 170_000, bytesAgoMs: 1_000 }) },
    { trial: { endpoint, sinceMs: NOW_MS - 5_999 } },
    { trial: undefined },
    { yieldedAtMs: NOW_MS - 19_999 },
  ] as const)
    assert.equal(isInStep({ ...inStep, ...other }), false, JSON.stringify(other));
});
