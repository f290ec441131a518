import assert from "node:assert/strict";
import { test } from "node:test";
import type { Liveness } from "../src/convergence.ts";
import { createPeerState } from "../src/peer-state.ts";
import { createReachabilityReport } from "../src/reachability.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createPeerConfig } from "./fakes/device.ts";
import { createFakeLog } from "./fakes/log.ts";

function start() {
  const clock = createFakeClock();
  const log = createFakeLog();
  const report = createReachabilityReport({ clock, log });
  const peer = createPeerState(createPeerConfig({ name: "site2" }));
  let explained = 0;
  const update = (liveness: Liveness) => {
    peer.liveness = liveness;
    report.update([peer], () => {
      explained++;
      return "because";
    });
  };
  return { clock, log, peer, update, explained: () => explained };
}

test("a peer that becomes reachable is said once, with its endpoint", () => {
  const { log, peer, update } = start();
  peer.observation = {
    receivedBytes: 0,
    quietSinceMs: 0,
    seenAtMs: 0,
    hasKeepalive: false,
    endpoint: { family: "ipv4", host: "203.0.113.7", port: 7 },
  };
  for (let count = 0; count < 3; count++) update("alive");
  assert.deepEqual(log.lines, [{ level: "info", msg: "peer reachable", peer: "site2", endpoint: "203.0.113.7:7" }]);
});

test("a peer that is not reachable for 20 s is a warning once, with the reason", async () => {
  const { clock, log, update, explained } = start();
  update("silent");
  await clock.advance(19_999);
  update("receiving");
  assert.deepEqual(log.lines, []);
  assert.equal(explained(), 0);
  await clock.advance(1);
  for (let count = 0; count < 3; count++) update("silent");
  assert.deepEqual(log.lines, [{ level: "warn", msg: "peer not reachable", peer: "site2", hint: "because" }]);
  assert.equal(explained(), 1);
});

test("a peer that comes back is said again, and its next absence has its full time", async () => {
  const { clock, log, update } = start();
  update("alive");
  update("silent");
  await clock.advance(10_000);
  update("alive");
  update("silent");
  await clock.advance(19_999);
  update("silent");
  assert.deepEqual(
    log.lines.map(({ msg }) => msg),
    ["peer reachable", "peer reachable"],
  );
  await clock.advance(1);
  update("silent");
  assert.equal(log.find("peer not reachable", "warn").length, 1);
});
