/**
 * First connections between sites that are far from each other, with traffic for the tunnel on both sides and without. With
 * both sides starting handshakes, those with traffic at 100 ms and more took minutes, and often did not come about at all.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { openPair } from "./pair.ts";
import { stampMs } from "./prober.ts";
import { measureStart } from "./starts.ts";

/** Many of WireGuard's handshake attempts, which are 5 s apart, for a busy machine; in step with each other they go on for longer. */
const BOUND_MS = 60_000;

describe("two sites connect", { concurrency: 4 }, () => {
  for (const rttMs of [2, 100, 300]) {
    for (const hasTraffic of [false, true]) {
      for (const offsetMs of [0, 1_500]) {
        const name = `at a round-trip time of ${rttMs} ms, ${hasTraffic ? "with" : "without"} traffic, started ${offsetMs} ms apart`;
        test(name, async (t) => {
          const ms = await measureStart({ rttMs, hasTraffic, offsetMs });
          t.diagnostic(`${(ms / 1000).toFixed(2)} s`);
          assert.ok(ms <= BOUND_MS, `took ${(ms / 1000).toFixed(2)} s`);
        });
      }
    }
  }
  test("at a round-trip time of 100 ms, with libpcap on both sides", async () => {
    const ms = await measureStart({ rttMs: 100, hasTraffic: true, offsetMs: 500, capture: "pcap" });
    assert.ok(ms <= BOUND_MS, `took ${(ms / 1000).toFixed(2)} s`);
  });
});

/** Endpoints of both are known and right, packets come from both sides, and nothing has been heard yet: as after an outage. */
test("two WireGuards whose handshakes are in step get a session", async (t) => {
  const pair = await openPair({ rttMs: 300, site: { nat: "direct" } });
  try {
    const { lab, hosts } = pair;
    const [one, two] = hosts;
    await lab.setEndpoint(one.name, { peer: two.name, endpoint: "203.0.113.18:51820" });
    await lab.setEndpoint(two.name, { peer: one.name, endpoint: "203.0.113.10:51820" });
    const startedMs = stampMs();
    const probers = await pair.probe();
    await Promise.all(hosts.map((host) => pair.startDaemon(host)));
    const workedMs = await probers.waitForBothWays(startedMs, { timeoutMs: 90_000 });
    t.diagnostic(`${((workedMs - startedMs) / 1000).toFixed(2)} s`);
  } finally {
    await pair.close();
  }
});
