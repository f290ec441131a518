/**
 * First connections between sites that are far from each other, with traffic for the tunnel on both sides and without. With
 * both sides starting handshakes, those with traffic at 100 ms and more took minutes, and often did not come about at all.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { measureStart } from "./starts.ts";

/** A few of WireGuard's handshake attempts, which are 5 s apart; in step with each other they go on for minutes. */
const BOUND_MS = 25_000;

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
