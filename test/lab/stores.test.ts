/**
 * Two sites behind port-restricted NATs find each other through each store that can run here, with the store's server in
 * the middle of the lab: when both start together, and when one has been waiting for the other. The figures are printed.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { repositoryRoot } from "../fixtures/path.ts";
import { type Daemon, startDaemon, storeOf, waitForTunnel } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import { startDht, startKnot, startRedis, startWebFolder, startWorker } from "./store-servers.ts";

/** So long the first daemon has been waiting: longer than it looks around often. */
const HEAD_START_MS = 3000;

type Pair = readonly [LabHost, LabHost];

interface Backend {
  readonly name: string;
  readonly isWatched: boolean;
  /** Starts what the plugins need; the result gives the plugins of a host. */
  start(lab: Lab): Promise<(host: LabHost) => Readonly<Record<string, object>>>;
  /** Names of `plugins` that do not answer. */
  readonly dead?: readonly string[];
}

const backends: readonly Backend[] = [
  { name: "redis", isWatched: true, start: single(startRedis) },
  { name: "opendht", isWatched: true, start: single(startDht) },
  { name: "rfc2136", isWatched: false, start: single(startKnot) },
  { name: "http", isWatched: true, start: single(startWorker) },
  { name: "module", isWatched: false, start: single(startWebFolder) },
  {
    name: "file",
    isWatched: true,
    start: single(async (lab) => () => ({ type: "file", path: storeOf(lab) })),
  },
  { name: "exec", isWatched: false, start: single(async (lab) => () => command(lab, "exec")) },
  { name: "shell", isWatched: false, start: single(async (lab) => () => command(lab, "shell")) },
  {
    name: "a dead store and file",
    isWatched: true,
    dead: ["dead"],
    async start(lab) {
      // It does not even refuse: the worst kind of dead.
      await lab.exec("srv", [
        "nft",
        "table inet dead { chain in { type filter hook input priority 0; tcp dport 9 drop; }; }",
      ]);
      const dead = { type: "http", url: "http://198.51.100.10:9" };
      return () => ({ dead, alive: { type: "file", path: storeOf(lab) } });
    },
  },
];

describe("two sites", () => {
  const laterMs: number[] = [];

  describe("find each other through", { concurrency: 2 }, () => {
    for (const backend of backends) {
      test(backend.name, (t) => connectBothWays(t, backend, laterMs));
    }
  });

  test("through watched stores, all of them", (t) => {
    const sorted = laterMs.toSorted((a, b) => a - b);
    assert.equal(sorted.length, backends.filter(({ isWatched }) => isWatched).length);
    const median = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
    t.diagnostic(`second site's start to ping, watched stores: median ${inSeconds(median)}`);
  });
});

async function connectBothWays(t: TestContext, backend: Backend, laterMs: number[]): Promise<void> {
  const { name, isWatched, start, dead = [] } = backend;
  const lab = await openLab({ sites: Array.from({ length: 4 }, () => ({ nat: "port" as const })) });
  t.after(() => lab.close());
  const pluginsOf = await start(lab);
  const [one, two, three, four] = [1, 2, 3, 4].map((site) => lab.host(site)) as [LabHost, LabHost, LabHost, LabHost];
  const startOn = (host: LabHost, peer: LabHost) =>
    startDaemon(lab, host, { config: configOf(lab, host, { peer, plugins: pluginsOf(host) }) });

  const both = await Promise.all([startOn(one, two), startOn(two, one)]);
  const together = await timeUntilPing(lab, [one, two], both);
  const stopMs = [await stopAll(both)];

  const first = await startOn(three, four);
  await first.waitForEvent({ msg: "endpoint published" });
  await sleep(HEAD_START_MS - (performance.now() - first.startedAtMs));
  const second = await startOn(four, three);
  const later = await timeUntilPing(lab, [three, four], [second]);
  stopMs.push(await stopAll([first, second]));

  const figures = [`together ${inSeconds(together)}`, `second site ${inSeconds(later)}`];
  t.diagnostic(`${name}: ${figures.join(", ")}, stopped in ${inSeconds(Math.max(...stopMs))}`);
  for (const daemon of [...both, first, second]) {
    const loud = daemon.events().filter(({ level }) => level !== "debug" && level !== "info");
    assert.deepEqual(
      loud.filter(({ plugin = "" }) => !dead.includes(plugin)),
      [],
      `${name}: the log of ${daemon.host.name}`,
    );
  }
  if (isWatched) laterMs.push(later);
}

/** Milliseconds from the start of the last of `daemons` to answered pings both ways. */
async function timeUntilPing(lab: Lab, pair: Pair, daemons: readonly Daemon[]): Promise<number> {
  const endMs = await waitForTunnel(lab, pair);
  return endMs - Math.max(...daemons.map(({ startedAtMs }) => startedAtMs));
}

/** Milliseconds it took. Stores that are being watched must not hold a daemon up. */
async function stopAll(daemons: readonly Daemon[]): Promise<number> {
  const startedMs = performance.now();
  const exits = await Promise.all(daemons.map(({ process }) => process.stop()));
  assert.deepEqual(
    exits.map(({ code }) => code),
    daemons.map(() => 0),
  );
  return performance.now() - startedMs;
}

function configOf(
  lab: Lab,
  host: LabHost,
  { peer, plugins }: { readonly peer: LabHost; readonly plugins: Readonly<Record<string, object>> },
): object {
  const entry = { public_key: peer.publicKey, plugin: Object.keys(plugins), protocol: "ipv4" };
  return {
    state_directory: join(lab.directory, `state-${host.name}`),
    stun: { addresses: [lab.stun.stun1.ipv4] },
    interfaces: { [host.wireguardInterface]: { protocol: "ipv4", peers: { [peer.name]: entry } } },
    plugins,
  };
}

function single(start: (lab: Lab) => Promise<(host: LabHost) => object>): Backend["start"] {
  return async (lab) => {
    const pluginOf = await start(lab);
    return (host) => ({ store: pluginOf(host) });
  };
}

function command(lab: Lab, type: "exec" | "shell"): object {
  const script = join(repositoryRoot, `contrib/plugins/${type}-directory.sh`);
  return { type, command: script, args: [storeOf(lab)] };
}

function inSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}
