/** How often packets are sent through an idle tunnel, by either side. */
import assert from "node:assert/strict";
import { setMaxListeners } from "node:events";
import { test } from "node:test";
import { startInterfaceLoop } from "../src/interface-loop.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createFaultyStore } from "./fakes/faulty-store.ts";
import { createFakeLog } from "./fakes/log.ts";
import { createWorld, type Host } from "./fakes/world.ts";

for (const stopped of [0, 1])
  test(`an idle tunnel gets a packet now and then, also when only side ${2 - stopped} runs this program`, async () => {
    const clock = createFakeClock(Date.UTC(2026, 10, 1));
    const world = createWorld(clock);
    const [a, b] = [world.addHost("a"), world.addHost("b")];
    world.connect(a, b);
    const stores = new Map([["store", { name: "store", store: createFaultyStore(clock), dedup: true }]]);
    const stops = [new AbortController(), new AbortController()] as const;
    for (const { signal } of stops) setMaxListeners(0, signal);
    const counts = new Map<Host, { pings: number; looks: number }>();
    function start(host: Host, peer: Host, { signal: stopSignal }: AbortController) {
      const count = { pings: 0, looks: 0 };
      counts.set(host, count);
      return startInterfaceLoop(
        {
          config: {
            name: "wg0",
            protocol: "ipv4",
            capture: "auto",
            listenInterfaces: [],
            listenDefaultRoute: false,
            peers: [{ name: peer.name, publicKey: peer.publicKey, plugins: ["store"], protocol: "ipv4" }],
          },
          wireguard: {
            ...host.wireguard,
            readDevice(name, signal) {
              count.looks++;
              return host.wireguard.readDevice(name, signal);
            },
          },
          provoker: {
            provoke(request, signal) {
              count.pings++;
              return host.provoker.provoke(request, signal);
            },
          },
          hostAddresses: () => ({ tunnel: [], all: [] }),
          async discover() {
            const { ipv4 } = host.address;
            if (!ipv4) throw new RangeError("the world gives every host both families");
            return { address: ipv4, server: "198.51.100.1:3478", rttMs: 1 };
          },
          observeMapping: async () => undefined,
          stores,
          clock,
          log: createFakeLog(),
          random: () => 0.5,
          refreshIntervalMs: 3_600_000,
          pollIntervalMaxMs: 30_000,
          fixedRetries: 3,
          resolveTarget: async () => [],
        },
        stopSignal,
      ).ended;
    }
    const ended = [start(a, b, stops[0]), start(b, a, stops[1])];
    await clock.advance(10_000);
    assert.ok(world.works(a, b));
    stops[stopped]?.abort();
    const before = [...counts.values()].map((count) => ({ ...count }));
    await clock.advance(600_000);
    for (const [index, { pings, looks }] of [...counts.values()].entries()) {
      assert.ok(pings - before[index]!.pings <= 40, `${pings - before[index]!.pings} pings in 10 minutes`);
      assert.ok(looks - before[index]!.looks <= 200, `${looks - before[index]!.looks} looks in 10 minutes`);
    }
    assert.ok(world.works(a, b));
    for (const stop of stops) stop.abort();
    await Promise.all(ended);
  });
