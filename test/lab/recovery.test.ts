/**
 * Tunnels come back: the scenarios of scenarios.ts, each once, with shorter outages, and however long it takes, because a
 * test machine has other things to do. `npm run soak` measures and judges how long.
 */
import { describe, test } from "node:test";
import { runScenario, type Scenario, scenarios } from "./scenarios.ts";

/** Scenarios at a time: more would disturb each other's timing on two cores. */
const TOGETHER = 4;

/** Once more with libpcap on both sides, as on FreeBSD and macOS; `STUNMESH_LAB_CAPTURE=pcap` does all of them that way. */
const captured = scenarios
  .filter(({ key }) => ["a", "d", "e"].includes(key))
  .map((scenario): Scenario => {
    const { key, title, pair } = scenario;
    return { ...scenario, key: `${key}-pcap`, title: `${title}, with libpcap`, pair: { ...pair, capture: "pcap" } };
  });

describe("a tunnel comes back after", { concurrency: TOGETHER }, () => {
  // The longest first, so that it does not run alone at the end.
  for (const scenario of [...scenarios, ...captured].reverse()) {
    test(`${scenario.key}: ${scenario.title}`, async (t) => {
      const { ms } = await runScenario(scenario, { quick: true });
      t.diagnostic(`${scenario.key}: ${(ms / 1000).toFixed(2)} s`);
    });
  }
});
