import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTransportAddress } from "../../src/address.ts";
import { surveyServers } from "../../src/stun/survey.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { behaviors, createStunWorld, settle } from "../fakes/stun-world.ts";

test("surveyServers tells of each server what it answered or why it did not", async () => {
  const clock = createFakeClock();
  const world = createStunWorld({
    clock,
    servers: { "192.0.2.1:3478": behaviors.ok(), "192.0.2.3:3478": behaviors.error(420, "no") },
    names: { "good.example": ["192.0.2.1"], "dead.example": ["192.0.2.2"], "none.example": "fails" },
  });
  const names = ["good.example", "dead.example", "none.example", "192.0.2.3"];
  const surveying = surveyServers({
    servers: names.map((host) => ({ host, port: 3478 })),
    family: "ipv4",
    openSocket: world.openSocket,
    resolve: world.resolve,
    clock,
    signal: new AbortController().signal,
  });
  const { value = [], elapsedMs } = await settle(clock, surveying);
  assert.deepEqual(
    value.map(({ name, answers }) => [name, ...answers.map(({ mapped }) => formatTransportAddress(mapped))]),
    [["good.example:3478", "203.0.113.7:40112"], ["dead.example:3478"], ["none.example:3478"], ["192.0.2.3:3478"]],
  );
  const [good, dead, none, refusing] = value.map(({ troubles }) =>
    troubles.map(({ kind, text }) => `${kind}: ${text}`).join(),
  );
  assert.equal(good, "");
  assert.match(dead ?? "", /^silent: .*192\.0\.2\.2.*no answer/);
  assert.match(none ?? "", /^unresolved: name not resolved/);
  assert.match(refusing ?? "", /^unusable: answered error 420 no/);
  assert.equal(elapsedMs, 3_000);
  assert.equal(world.open, 0);
});
