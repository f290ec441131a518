import assert from "node:assert/strict";
import { test } from "node:test";
import {
  acceptSequence,
  compareSequences,
  isSequence,
  markAbove,
  nextSequence,
  type SequenceMarks,
} from "../src/sequence.ts";

const START_MS = Date.UTC(2026, 5, 1);
const START = START_MS / 1000;
const HOUR = 3_600;
const YEAR = 365 * 24 * HOUR;

/** A peer as this host knows it, with this host's clock. */
function createPeer(startS = START) {
  let marks: SequenceMarks = {};
  let nowMs = startS * 1000;
  return {
    /** The own clock says `seconds` from now on. */
    at(seconds: number) {
      nowMs = seconds * 1000;
    },
    /** Offers numbers as a store may; gives the one that is taken, undefined for none. */
    offer(...numbers: readonly number[]): number | undefined {
      const judgement = { marks, nowMs };
      const [best] = numbers
        .filter((number) => markAbove(number, judgement) === undefined)
        .sort((a, b) => compareSequences(b, a, judgement));
      if (best !== undefined) marks = acceptSequence(best, judgement);
      return best;
    },
    marks: () => marks,
    /** As after a restart: what JSON keeps. */
    restart() {
      marks = JSON.parse(JSON.stringify(marks));
    },
  };
}

test("nextSequence() grows also when the clock stands still or goes back, and is missing while it was never set", () => {
  const first = nextSequence(START_MS, undefined);
  assert.equal(first, START);
  assert.equal(nextSequence(START_MS, first), START + 1);
  assert.equal(nextSequence(0, first), START + 1);
  assert.equal(nextSequence(1_000_000, undefined), undefined);
});

test("nextSequence() never gives a number that peers refuse", () => {
  for (const previous of [2 ** 53 - 2, 2 ** 53 - 1, 2 ** 53, 8.64e12, 8.64e12 + 1]) {
    assert.equal(nextSequence(START_MS, previous), START, String(previous));
    assert.equal(nextSequence(0, previous), undefined, String(previous));
  }
  assert.equal(nextSequence(START_MS, 8.64e12 - 1), 8.64e12);
  assert.equal(nextSequence(START_MS, 4e9), 4e9 + 1);
});

test("isSequence() is true for what a clock can have made", () => {
  for (const good of [0, 1, 4e9, 8.64e12]) assert.ok(isSequence(good), String(good));
  for (const bad of [-1, 0.5, 8.64e12 + 1, 2 ** 53 - 1, 2 ** 53, 1e300, Infinity, NaN, "1", null, undefined, 1n])
    assert.ok(!isSequence(bad), String(bad));
});

test("numbers grow, the newest one is good again, older ones are not", () => {
  const peer = createPeer();
  assert.equal(peer.offer(START - 10), START - 10);
  assert.equal(peer.offer(START - 10), START - 10);
  assert.equal(peer.offer(START, START - 10), START);
  assert.equal(peer.offer(START - 10), undefined);
  assert.equal(peer.offer(START - 1), undefined);
  assert.deepEqual(peer.marks(), { recordSequence: START, aheadSequence: undefined });
});

for (const ahead of [START + 2 * HOUR, START + 10 * YEAR, 4e9, 8.64e12]) {
  test(`a peer whose clock was ahead (${ahead}) and that has lost its state is known again at once`, () => {
    const peer = createPeer();
    assert.equal(peer.offer(START - HOUR), START - HOUR);
    assert.equal(peer.offer(ahead), ahead);
    peer.at(START + 600);
    assert.equal(peer.offer(ahead), ahead, "it is still the newest record there is");
    peer.restart();
    assert.equal(peer.offer(START + 590), START + 590);
    for (const old of [ahead, ahead - 1, START - HOUR, START - 10 * HOUR, START - 301])
      assert.equal(peer.offer(old), undefined, `an old one: ${old}`);
    peer.restart();
    assert.equal(peer.offer(ahead, START + 590), START + 590, "beside the old one");
    assert.equal(peer.offer(START + 650, START + 590, ahead), START + 650);
  });
}

test("a peer whose clock is ahead is protected against its old records, too", () => {
  const peer = createPeer();
  peer.offer(START);
  assert.equal(peer.offer(4e9), 4e9);
  assert.equal(peer.offer(4e9 + 1, 4e9), 4e9 + 1);
  assert.equal(peer.offer(4e9), undefined);
  assert.equal(peer.offer(START), undefined);
  assert.equal(peer.offer(START + 10 * YEAR), undefined);
});

test("both a wrong and a right record in the store: the right one, also when nothing was known before", () => {
  assert.equal(createPeer().offer(4e9, START), START);
  const peer = createPeer();
  peer.offer(4e9);
  peer.at(START + 60);
  assert.equal(peer.offer(4e9, START + 50), START + 50);
});

test("a clock that was ahead twice", () => {
  const peer = createPeer();
  peer.offer(4e9);
  assert.equal(peer.offer(START + 1), START + 1);
  assert.equal(peer.offer(5e9), 5e9);
  assert.equal(peer.offer(START + 1), undefined);
  peer.at(START + HOUR);
  assert.equal(peer.offer(START + HOUR), START + HOUR);
  assert.equal(peer.offer(5e9), undefined);
});

test("a time that comes to the number that was ahead locks nobody out", () => {
  const peer = createPeer();
  peer.offer(START + 10 * YEAR);
  peer.offer(START + 1);
  peer.at(START + 10 * YEAR - 299);
  assert.equal(peer.offer(START + 10 * YEAR), undefined);
  assert.equal(peer.offer(START + 10 * YEAR + 1), START + 10 * YEAR + 1);
});

for (const [what, clockS] of [
  ["of 1970", 5],
  ["of the firmware", START - 90 * 24 * HOUR],
  ["of when the power failed", START - HOUR],
] as const) {
  test(`an own clock ${what}: peers are found, their old records are refused, then and when it is set`, () => {
    const peer = createPeer();
    for (const number of [START - 2 * HOUR, START - HOUR - 60]) assert.equal(peer.offer(number), number);
    peer.restart();
    peer.at(clockS);
    assert.equal(peer.offer(START - HOUR - 60, START - 2 * HOUR), START - HOUR - 60, "what was known is still good");
    assert.equal(peer.offer(START), START, "a new one is taken");
    assert.equal(peer.offer(START - 2 * HOUR), undefined);
    assert.equal(peer.offer(START - HOUR - 60), undefined, "the one before is old now");
    assert.equal(peer.offer(START + 60, START), START + 60);
    peer.at(START + 100);
    assert.equal(peer.offer(START), undefined);
    assert.equal(peer.offer(START + 60), START + 60);
    assert.equal(peer.offer(START + 90), START + 90);
  });
}

test("an own clock that was never set and nothing remembered: everything is ahead, and grows", () => {
  const peer = createPeer(5);
  assert.equal(peer.offer(START), START);
  assert.equal(peer.offer(START - 1), undefined);
  assert.equal(peer.offer(START + 1), START + 1);
  peer.at(START + 10);
  assert.equal(peer.offer(START), undefined);
  assert.equal(peer.offer(START + 5), START + 5);
});

test("an own clock that was ahead for a while keeps nobody away afterwards", () => {
  const peer = createPeer();
  peer.offer(4e9);
  peer.offer(START + 1);
  peer.at(START + 70 * YEAR);
  assert.equal(peer.offer(4e9), undefined);
  peer.offer(START + 2);
  peer.at(START + 10);
  assert.equal(peer.offer(START + 9), START + 9);
});

test("in any order of clocks and replays: once a newer record of a right clock was taken, no older one ever is", () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return seed % below;
  };
  for (let round = 0; round < 300; round++) {
    const peer = createPeer();
    const made: number[] = [];
    let newest = 0;
    let time = START;
    for (let step = 0; step < 40; step++) {
      time += random(2 * HOUR);
      // Ours is right, was never set, or is as late as a power failure makes it: with records of that very time unknown.
      peer.at(random(4) === 0 ? 5 : time);
      if (random(2) === 0) made.push(time);
      const offered = made[random(made.length || 1)];
      if (offered === undefined) continue;
      const taken = peer.offer(offered);
      assert.equal(taken, offered >= newest ? offered : undefined, `${offered} after ${newest}`);
      newest = Math.max(newest, offered);
    }
  }
});
