import assert from "node:assert/strict";
import { test } from "node:test";
import { createChangeBudget } from "../src/change-budget.ts";
import { createPeerState } from "../src/peer-state.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createPeerConfig } from "./fakes/device.ts";

function start() {
  const clock = createFakeClock();
  const peer = createPeerState(createPeerConfig());
  const budget = createChangeBudget(clock);
  const takeAll = () => {
    let count = 0;
    while (budget.take(peer)) count++;
    return count;
  };
  return { clock, peer, budget, takeAll };
}

test("a few changes are acted on at once, then one after each five minutes", async () => {
  const { clock, takeAll } = start();
  assert.equal(takeAll(), 8);
  await clock.advance(299_999);
  assert.equal(takeAll(), 0);
  await clock.advance(1);
  assert.equal(takeAll(), 1);
  await clock.advance(3_600_000);
  assert.equal(takeAll(), 8);
});

test("a tunnel that works gives all of it back", () => {
  const { peer, budget, takeAll } = start();
  takeAll();
  budget.restore(peer);
  assert.equal(takeAll(), 8);
});

test("peers have a budget each", () => {
  const { budget, takeAll } = start();
  takeAll();
  assert.equal(budget.take(createPeerState(createPeerConfig({ name: "other" }))), true);
});
