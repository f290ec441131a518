/**
 * A tunnel that works is left alone: not one packet of a continuous ping is lost and no endpoint is written again, however
 * often the daemons refresh. HEALTHY_SECONDS=300 looks at two of WireGuard's rekeys as well; default 30.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { countEndpointWrites, type Daemon, meshConfig, startDaemon, waitForTunnel } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import { PATIENCE_MS } from "./wait.ts";

const SECONDS = Number(process.env.HEALTHY_SECONDS ?? 30);
const PINGS_PER_SECOND = 5;

describe("a healthy tunnel", () => {
  let lab: Lab;
  let pair: readonly [LabHost, LabHost];
  let daemons: readonly Daemon[];

  before(async () => {
    // So that wireguard-go itself says when an endpoint is written.
    process.env.LAB_WG_LOG = "verbose";
    lab = await openLab({ sites: [{ nat: "port" }, { nat: "port" }] });
    pair = [lab.host(1), lab.host(2)];
    daemons = await Promise.all(
      pair.map((host) => {
        const peers = pair.filter((peer) => peer !== host);
        const config = meshConfig(lab, host, { peers, stun: [lab.stun.stun1.ipv4], refreshInterval: "10s" });
        return startDaemon(lab, host, { config });
      }),
    );
    await waitForTunnel(lab, pair);
  });
  after(() => lab.close());

  test(`loses nothing in ${SECONDS} s of refreshes every 10 s`, async (t) => {
    const endpoints = () => Promise.all([lab.endpoint("h1", "h2"), lab.endpoint("h2", "h1")]);
    const [endpointsBefore, writesBefore] = [await endpoints(), pair.map((host) => countEndpointWrites(lab, host))];
    const refreshesBefore = daemons.map(countDiscoveries);
    const output = await Promise.all(
      [pair, pair.toReversed()].map(([from, to]) =>
        lab.exec(from!.name, pingArgv(to!.tunnel4), { timeoutMs: SECONDS * 1000 + PATIENCE_MS }),
      ),
    );
    const lost = output.map((text) => /(\d+) packets transmitted, (\d+) received.* ([\d.]+)% packet loss/.exec(text));
    const refreshes = daemons.map((daemon, index) => countDiscoveries(daemon) - refreshesBefore[index]!);
    const writes = pair.map((host) => countEndpointWrites(lab, host));
    t.diagnostic(`${lost.map((match) => match?.[0]).join("; ")}; refreshes ${refreshes}; endpoint writes ${writes}`);
    for (const match of lost) assert.equal(match?.[1], match?.[2], match?.[0]);
    // Refreshed each 9..11 s, so that there was something to survive.
    for (const count of refreshes) assert.ok(count >= Math.floor(SECONDS / 11) - 1, `${count} refreshes`);
    assert.deepEqual(writes, writesBefore, "endpoint writes according to wireguard-go");
    assert.deepEqual(await endpoints(), endpointsBefore);
    for (const daemon of daemons) {
      const set = daemon.events().filter(({ msg }) => msg === "endpoint set");
      assert.ok(set.length <= 1, `${daemon.host.name}: ${JSON.stringify(set)}`);
    }
  });

  test("has nothing to say about it", () => {
    for (const daemon of daemons) {
      const loud = daemon.events().filter(({ level }) => level !== "debug" && level !== "info");
      assert.deepEqual(loud, [], daemon.host.name);
    }
  });
});

function pingArgv(target: string): readonly string[] {
  return [
    "ping",
    "-n",
    "-q",
    "-i",
    `${1 / PINGS_PER_SECOND}`,
    "-c",
    `${SECONDS * PINGS_PER_SECOND}`,
    "-W",
    "60",
    target,
  ];
}

function countDiscoveries(daemon: Daemon): number {
  return daemon.events().filter(({ msg }) => msg === "discovered IPv4 endpoint").length;
}
