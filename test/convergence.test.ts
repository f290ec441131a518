import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointRecord, TransportAddress } from "../src/address.ts";
import {
  CANDIDATE_TRIAL_MS,
  decide,
  isInSession,
  isNews,
  isPacketDue,
  judgeLiveness,
  type Observation,
  observePeer,
  type PeerReading,
  pollDelayMs,
  retryDelayMs,
} from "../src/convergence.ts";

const v4: TransportAddress = { family: "ipv4", host: "203.0.113.7", port: 1 };
const v6: TransportAddress = { family: "ipv6", host: "2001:db8::7", port: 1 };
const elsewhere: TransportAddress = { family: "ipv4", host: "198.51.100.9", port: 9 };
const WALL_MS = Date.UTC(2026, 10, 1);

/** Looks at a peer one after the other. `wallMs` is relative to WALL_MS, and so is the handshake in the reading. */
function look(
  ...looks: readonly {
    readonly atMs: number;
    readonly wallMs?: number;
    readonly handshakeMs?: number;
    readonly bytes?: number;
    readonly keepalive?: number;
  }[]
): Observation {
  let observation: Observation | undefined;
  for (const { atMs, wallMs = atMs, handshakeMs, bytes = 0, keepalive = 0 } of looks) {
    const reading: PeerReading = {
      receivedBytes: bytes,
      persistentKeepalive: keepalive,
      ...(handshakeMs !== undefined && { latestHandshakeMs: WALL_MS + handshakeMs }),
    };
    observation = observePeer(observation, reading, { nowMs: WALL_MS + wallMs, monotonicMs: atMs });
  }
  assert.ok(observation);
  return observation;
}

const liveness = (observation: Observation, atMs: number) => judgeLiveness(observation, { monotonicMs: atMs });

test("observePeer takes the age of the first handshake from the wall clock", () => {
  assert.equal(look({ atMs: 1_000_000, handshakeMs: 940_000 }).handshakeAtMs, 940_000);
  assert.equal(look({ atMs: 1_000_000 }).handshakeAtMs, undefined);
});

test("observePeer takes a handshake of the future as of now", () => {
  assert.equal(look({ atMs: 1_000_000, handshakeMs: 9_000_000 }).handshakeAtMs, 1_000_000);
});

test("observePeer counts later handshakes from when they are noticed", () => {
  const observation = look({ atMs: 0, handshakeMs: -60_000 }, { atMs: 5_000, handshakeMs: 3_000 });
  assert.equal(observation.handshakeAtMs, 5_000);
});

test("observePeer forgets the handshake of a peer that was made anew", () => {
  assert.equal(look({ atMs: 0, handshakeMs: -1_000 }, { atMs: 5_000 }).handshakeAtMs, undefined);
});

test("observePeer notices bytes that grow, not bytes that were there or a counter that starts again", () => {
  assert.equal(look({ atMs: 0, bytes: 1_000 }).receivedAtMs, undefined);
  assert.equal(look({ atMs: 0, bytes: 1_000 }, { atMs: 5_000, bytes: 1_000 }).receivedAtMs, undefined);
  assert.equal(look({ atMs: 0, bytes: 1_000 }, { atMs: 5_000, bytes: 1_148 }).receivedAtMs, 5_000);
  assert.equal(look({ atMs: 0, bytes: 1_000 }, { atMs: 5_000, bytes: 32 }).receivedAtMs, undefined);
  const again = look({ atMs: 0, bytes: 1_000 }, { atMs: 5_000, bytes: 0 }, { atMs: 10_000, bytes: 32 });
  assert.equal(again.receivedAtMs, 10_000);
});

test("a session lives for 180 s after its handshake", () => {
  const observation = look({ atMs: 0, handshakeMs: 0 });
  assert.equal(liveness(observation, 179_999), "alive");
  assert.equal(isInSession(observation, 179_999), true);
  assert.equal(liveness(observation, 180_000), "silent");
  assert.equal(isInSession(observation, 180_000), false);
});

test("a peer without a handshake is silent, or receiving while its bytes grow", () => {
  assert.equal(liveness(look({ atMs: 0 }), 0), "silent");
  const heard = look({ atMs: 0, bytes: 0 }, { atMs: 5_000, bytes: 148 });
  assert.equal(liveness(heard, 5_000), "receiving");
  assert.equal(liveness(heard, 19_999), "receiving");
  assert.equal(liveness(heard, 20_000), "silent");
});

for (const [name, jumpMs] of [
  ["a year ahead", 31_536_000_000],
  ["ten years back", -315_360_000_000],
  ["five minutes ahead", 300_000],
] as const) {
  test(`a wall clock that jumps ${name} neither kills nor revives a tunnel`, () => {
    const alive = look({ atMs: 0, handshakeMs: 0 }, { atMs: 10_000, wallMs: 10_000 + jumpMs, handshakeMs: 0 });
    assert.equal(liveness(alive, 10_000), "alive");
    const dead = look(
      { atMs: 0, handshakeMs: -300_000 },
      { atMs: 10_000, wallMs: 10_000 + jumpMs, handshakeMs: -300_000 },
    );
    assert.equal(liveness(dead, 10_000), "silent");
    // The next handshake carries the new time.
    const renewed = look(
      { atMs: 0, handshakeMs: 0 },
      { atMs: 120_000, wallMs: 120_000 + jumpMs, handshakeMs: 119_000 + jumpMs },
    );
    assert.equal(renewed.handshakeAtMs, 120_000);
  });
}

test("with keepalive a tunnel that is quiet for 60 s is dead, whatever its handshake's age", () => {
  const observation = look({ atMs: 0, handshakeMs: 0, keepalive: 25 });
  assert.equal(liveness(observation, 59_999), "alive");
  assert.equal(liveness(observation, 60_000), "silent");
  const heard = look(
    { atMs: 0, handshakeMs: 0, keepalive: 25 },
    { atMs: 50_000, handshakeMs: 0, keepalive: 25, bytes: 32 },
  );
  assert.equal(liveness(heard, 109_999), "alive");
  assert.equal(liveness(heard, 110_000), "silent");
});

test("a handshake counts as being heard", () => {
  const observation = look({ atMs: 0, keepalive: 25 }, { atMs: 100_000, handshakeMs: 99_000, keepalive: 25 });
  assert.equal(liveness(observation, 159_999), "alive");
});

test("without keepalive a quiet tunnel is nothing to worry about", () => {
  assert.equal(liveness(look({ atMs: 0, handshakeMs: 0 }), 170_000), "alive");
});

test("a ping outweighs the handshake's age, both ways", () => {
  const old = look({ atMs: 0, handshakeMs: -600_000 });
  assert.equal(judgeLiveness(old, { monotonicMs: 0, ping: "answered" }), "alive");
  const fresh = look({ atMs: 0, handshakeMs: 0 });
  assert.equal(judgeLiveness(fresh, { monotonicMs: 0, ping: "missed" }), "silent");
  assert.equal(judgeLiveness(fresh, { monotonicMs: 0, ping: undefined }), "alive");
});

test("a missed ping with bytes that came after it means that the peer is heard", () => {
  const observation = look({ atMs: 0, handshakeMs: 0 }, { atMs: 10_000, handshakeMs: 0, bytes: 96 });
  const judge = (suspectedAtMs: number | undefined, atMs: number) =>
    judgeLiveness(observation, { monotonicMs: atMs, ping: "missed", suspectedAtMs });
  assert.equal(judge(5_000, 11_000), "receiving");
  assert.equal(judge(5_000, 25_000), "silent");
  assert.equal(judge(10_000, 11_000), "silent");
  assert.equal(judge(undefined, 11_000), "silent");
});

test("isPacketDue renews an aging session and asks a peer that is quieter than its keepalive", () => {
  const idle = look({ atMs: 0, handshakeMs: 0 });
  assert.equal(isPacketDue(idle, 149_999), false);
  assert.equal(isPacketDue(idle, 150_000), true);
  const quiet = look({ atMs: 0, handshakeMs: 0, keepalive: 25 });
  assert.equal(isPacketDue(quiet, 34_999), false);
  assert.equal(isPacketDue(quiet, 35_000), true);
  assert.equal(isPacketDue(look({ atMs: 0 }), 1_000_000), false);
});

interface Case {
  readonly name: string;
  readonly some: Partial<Parameters<typeof decide>[0]>;
  readonly expected: ReturnType<typeof decide>;
}

const both: EndpointRecord = { ipv4: v4, ipv6: v6 };
const tried = (endpoint: TransportAddress, ageMs: number) => ({ endpoint, sinceMs: 1_000_000 - ageMs });
const set = (endpoint: TransportAddress) => ({ action: "set", endpoint }) as const;

const decisions: readonly Case[] = [
  {
    name: "a tunnel that works is left alone",
    some: { liveness: "alive", record: both },
    expected: { action: "leave" },
  },
  {
    name: "a tunnel that works is left alone, also at another endpoint",
    some: { liveness: "alive", record: both, current: elsewhere },
    expected: { action: "leave" },
  },
  { name: "nothing known: wait", some: { record: undefined }, expected: { action: "wait" } },
  { name: "an empty record: wait", some: { record: {} }, expected: { action: "wait" } },
  {
    name: "no record but an endpoint: try that",
    some: { record: undefined, current: elsewhere },
    expected: { action: "send" },
  },
  {
    name: "a record without a family the peer accepts",
    some: { record: { ipv6: v6 }, protocol: "ipv4" },
    expected: { action: "wait" },
  },
  { name: "a record and no endpoint: set it", some: {}, expected: set(v4) },
  { name: "another endpoint: set it", some: { current: elsewhere }, expected: set(v4) },
  { name: "the record's endpoint: only send", some: { current: v4 }, expected: { action: "send" } },
  {
    name: "who is heard from is not moved",
    some: { liveness: "receiving", current: elsewhere },
    expected: { action: "send" },
  },
  {
    name: "who is heard from but has no endpoint is moved",
    some: { liveness: "receiving" },
    expected: set(v4),
  },
  { name: "prefer_ipv6", some: { record: both, protocol: "prefer_ipv6" }, expected: set(v6) },
  {
    name: "the first family has its time",
    some: { record: both, protocol: "prefer_ipv6", current: v6, trial: tried(v6, CANDIDATE_TRIAL_MS - 1) },
    expected: { action: "send" },
  },
  {
    name: "then the other one",
    some: { record: both, protocol: "prefer_ipv6", current: v6, trial: tried(v6, CANDIDATE_TRIAL_MS) },
    expected: set(v4),
  },
  {
    name: "and the first one again",
    some: { record: both, protocol: "prefer_ipv6", current: v4, trial: tried(v4, CANDIDATE_TRIAL_MS) },
    expected: set(v6),
  },
  {
    name: "an endpoint that we do not try ourselves has its time too",
    some: { record: both, protocol: "prefer_ipv6", current: v6 },
    expected: { action: "send" },
  },
  {
    name: "the only candidate is tried for ever",
    some: { current: v4, trial: tried(v4, 1_000_000) },
    expected: { action: "send" },
  },
  {
    name: "a fallback is one more candidate",
    some: { fallback: elsewhere, current: v4, trial: tried(v4, CANDIDATE_TRIAL_MS) },
    expected: set(elsewhere),
  },
  { name: "a fallback alone is tried", some: { record: undefined, fallback: elsewhere }, expected: set(elsewhere) },
  {
    name: "a fallback that is in the record is no candidate of its own",
    some: { fallback: v4, current: v4, trial: tried(v4, 1_000_000) },
    expected: { action: "send" },
  },
];

for (const { name, some, expected } of decisions) {
  test(`decide: ${name}`, () => {
    const actual = decide({
      liveness: "silent",
      record: { ipv4: v4 },
      protocol: "ipv4",
      current: undefined,
      trial: undefined,
      monotonicMs: 1_000_000,
      ...some,
    });
    assert.deepEqual(actual, expected);
  });
}

test("pollDelayMs doubles up to its cap, with 15 % of jitter, and never overflows", () => {
  const at = (attempt: number, random: number) => pollDelayMs(attempt, { maxMs: 30_000, random });
  assert.deepEqual(
    [0, 1, 2, 3, 4, 5, 6].map((attempt) => at(attempt, 0.5)),
    [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000],
  );
  assert.equal(at(0, 0), 850);
  assert.ok(Math.abs(at(0, 1) - 1_150) < 1e-6);
  assert.equal(at(1_000_000, 1), 30_000);
  assert.equal(pollDelayMs(0, { maxMs: 100, random: 0.5 }), 100);
});

test("retryDelayMs has its fixed steps first", () => {
  const steps = (fixedRetries: number) =>
    [0, 1, 2, 3, 4, 5, 6, 7].map((attempt) => retryDelayMs(attempt, { fixedRetries, maxMs: 30_000, random: 0.5 }));
  assert.deepEqual(steps(3), [2_000, 2_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  assert.deepEqual(steps(0), [4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000, 30_000]);
  assert.equal(retryDelayMs(1_000_000, { fixedRetries: 3, maxMs: 30_000, random: 1 }), 30_000);
});

test("isNews() takes a record that was found after the last packet was noticed, once nothing came for a while", () => {
  const heard = look({ atMs: 0, bytes: 1 }, { atMs: 5_000, bytes: 2 });
  const later = (observation: Observation, monotonicMs: number, receivedBytes = 2) =>
    observePeer(observation, { receivedBytes, persistentKeepalive: 0 }, { nowMs: WALL_MS, monotonicMs });
  const quiet = later(heard, 7_000);
  assert.equal(isNews(undefined, quiet), false);
  assert.equal(isNews(4_999, quiet), false);
  assert.equal(isNews(5_000, quiet), true);
  assert.equal(isNews(7_000, quiet), true);
  // A tunnel that carries packets, and only its ping target is dead.
  assert.equal(isNews(5_000, later(heard, 6_999)), false);
  assert.equal(isNews(5_000, later(later(heard, 6_500, 3), 8_000)), false);
  assert.equal(isNews(7_000, later(later(later(heard, 6_500, 3), 7_500, 4), 8_500, 5)), false);
  assert.equal(isNews(7_000, look({ atMs: 0, bytes: 1 })), true);
});

test("a record that is newer than what was heard wins over where the packets came from, and an older one does not", () => {
  const situation = {
    record: { ipv4: v4 },
    protocol: "ipv4",
    current: elsewhere,
    trial: undefined,
    monotonicMs: 0,
  } as const;
  assert.deepEqual(decide({ ...situation, liveness: "receiving", isRecordNews: true }), {
    action: "set",
    endpoint: v4,
  });
  assert.deepEqual(decide({ ...situation, liveness: "receiving", isRecordNews: false }), { action: "send" });
  assert.deepEqual(decide({ ...situation, liveness: "alive", isRecordNews: true }), { action: "leave" });
  const there = { ...situation, current: v4, liveness: "receiving", isRecordNews: true } as const;
  assert.deepEqual(decide(there), { action: "send" });
});
