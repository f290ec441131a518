import assert from "node:assert/strict";
import { test } from "node:test";
import type { TransportAddress } from "../src/address.ts";
import { createPeerChanges } from "../src/peer-change.ts";
import { createPeerState } from "../src/peer-state.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createPeerConfig, createPeerReading, createReading } from "./fakes/device.ts";

const here: TransportAddress = { family: "ipv4", host: "203.0.113.7", port: 7 };
const there: TransportAddress = { family: "ipv4", host: "203.0.113.8", port: 8 };

function start() {
  const told: string[] = [];
  const states: string[] = [];
  const peer = createPeerState(createPeerConfig({ name: "site2" }));
  const device = createReading([createPeerReading(peer.config)]);
  const changes = createPeerChanges({
    interface: "wg0",
    peers: [peer],
    clock: createFakeClock(),
    onState: ({ state, previous }) => states.push(`${previous} > ${state}`),
    onPeerChange({ event, peer, endpoint, previous, reason }) {
      told.push([event, peer.name, endpoint, previous, reason].join(" | "));
    },
  });
  const look = (liveness: typeof peer.liveness, endpoint?: TransportAddress) => {
    peer.liveness = liveness;
    peer.observation = {
      receivedBytes: 0,
      quietSinceMs: 0,
      seenAtMs: 0,
      hasKeepalive: false,
      ...(endpoint && { endpoint }),
    };
    changes.looked(device, () => "nothing comes back");
  };
  return { told, states, changes, peer, look };
}

test("a tunnel that comes up or goes down is told once, with the reason", () => {
  const { told, look } = start();
  look("silent", here);
  look("silent", here);
  assert.deepEqual(told, []);
  look("alive", here);
  look("alive", here);
  look("receiving", here);
  look("silent", here);
  look("alive", here);
  assert.deepEqual(told, [
    "up | site2 | 203.0.113.7:7 |  | the tunnel works",
    "down | site2 | 203.0.113.7:7 |  | nothing comes back",
    "up | site2 | 203.0.113.7:7 |  | the tunnel works",
  ]);
});

test("a peer or a device that is gone takes the tunnel with it", () => {
  const { told, states, changes, look } = start();
  look("alive", here);
  changes.looked(createReading(), () => "not on the device");
  changes.looked(undefined, () => "not ready");
  look("alive", here);
  changes.looked(undefined, () => "not ready");
  assert.deepEqual(
    told.map((line) => [line.split(" ")[0], line.split(" | ").at(-1)]),
    [
      ["up", "the tunnel works"],
      ["down", "not on the device"],
      ["up", "the tunnel works"],
      ["down", "not ready"],
    ],
  );
  assert.deepEqual(states, [
    "waiting > reachable",
    "reachable > missing",
    "missing > waiting",
    "waiting > reachable",
    "reachable > waiting",
  ]);
});

test("another endpoint is told with the one before, and whether it was set here", () => {
  const { told, peer, look } = start();
  look("silent");
  peer.trial = { endpoint: here, sinceMs: 0 };
  look("silent", here);
  look("silent", { ...here });
  delete peer.trial;
  look("silent", there);
  look("silent");
  assert.deepEqual(told, [
    "endpoint | site2 | 203.0.113.7:7 |  | it was set to where the peer should be",
    "endpoint | site2 | 203.0.113.8:8 | 203.0.113.7:7 | the peer was heard from there",
  ]);
});

test("the endpoint a peer has at the first look is no change", () => {
  const { told, look } = start();
  look("silent", here);
  look("silent", there);
  assert.deepEqual(told, ["endpoint | site2 | 203.0.113.8:8 | 203.0.113.7:7 | the peer was heard from there"]);
});
