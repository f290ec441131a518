/**
 * Who can connect does, quickly, and without keepalives; who cannot is told why. Meshes of sites behind all kinds of NAT
 * in which every daemon starts at the same time. The figures are printed.
 */
import assert from "node:assert/strict";
import { after, describe, type TestContext, test } from "node:test";
import { type Daemon, type MeshConfigOptions, meshConfig, startDaemon, waitForTunnel } from "./daemon.ts";
import { type Lab, type LabHost, type LabOptions, openLab, stunServers } from "./lab.ts";
import { waitFor } from "./wait.ts";

/** From the start of the last daemon to answered pings both ways. */
const CONNECT_WITHIN_MS = 3000;

type Pair = readonly [LabHost, LabHost];

interface Mesh {
  readonly lab: Lab;
  readonly daemons: readonly Daemon[];
  readonly startedAtMs: number;
}

const open: Lab[] = [];
after(() => Promise.all(open.map((lab) => lab.close())));

async function openMesh(options: LabOptions, config: Omit<MeshConfigOptions, "peers">): Promise<Mesh> {
  const lab = await openLab({ services: ["stun1", "stun2"], ...options });
  open.push(lab);
  const daemons = await Promise.all(
    lab.hosts.map((host) => {
      const peers = lab.hosts.filter((peer) => peer !== host);
      return startDaemon(lab, host, { config: meshConfig(lab, host, { peers, ...config }) });
    }),
  );
  return { lab, daemons, startedAtMs: Math.max(...daemons.map(({ startedAtMs }) => startedAtMs)) };
}

function pairsOf(hosts: readonly LabHost[]): readonly Pair[] {
  return hosts.flatMap((one, index) => hosts.slice(index + 1).map((two): Pair => [one, two]));
}

function nameOf([one, two]: Pair): string {
  return `${one.name}-${two.name}`;
}

/** Interfaces and keys of the peers they had a handshake with. */
async function readHandshakes(lab: Lab): Promise<ReadonlySet<string>> {
  const tables = await Promise.all(
    lab.hosts.map(async ({ name, wireguardInterface }) => {
      const table = await lab.wg(name, ["show", wireguardInterface, "latest-handshakes"]);
      const rows = table.split("\n").map((line) => line.split("\t"));
      return rows.filter(([, time]) => Number(time) > 0).map(([key]) => `${wireguardInterface} ${key}`);
    }),
  );
  return new Set(tables.flat());
}

function haveHandshake([one, two]: Pair, handshakes: ReadonlySet<string>): boolean {
  return (
    handshakes.has(`${one.wireguardInterface} ${two.publicKey}`) &&
    handshakes.has(`${two.wireguardInterface} ${one.publicKey}`)
  );
}

/** Waits for each of `pairs` and resolves with how long each took, from the start of the last daemon. */
async function connect({ lab, startedAtMs }: Mesh, pairs: readonly Pair[]): Promise<ReadonlyMap<string, number>> {
  const times = new Map<string, number>();
  const pinging: Promise<void>[] = [];
  const waiting = new Set(pairs);
  const mute: string[] = [];
  async function pingBothWays(pair: Pair): Promise<void> {
    try {
      times.set(nameOf(pair), (await waitForTunnel(lab, pair)) - startedAtMs);
    } catch (error) {
      mute.push(String(error));
    }
  }
  const end = performance.now() + 25_000;
  await waitFor(
    async () => {
      const handshakes = await readHandshakes(lab);
      for (const pair of waiting) {
        if (!haveHandshake(pair, handshakes)) continue;
        waiting.delete(pair);
        pinging.push(pingBothWays(pair));
      }
      return waiting.size === 0 || performance.now() > end;
    },
    { what: "all tunnels", timeoutMs: 30_000, everyMs: 50 },
  );
  await Promise.all(pinging);
  assert.deepEqual({ withoutHandshake: [...waiting].map(nameOf), mute }, { withoutHandshake: [], mute: [] });
  return times;
}

function report(t: TestContext, times: ReadonlyMap<string, number>): void {
  const sorted = [...times].sort(([, a], [, b]) => a - b);
  const [worstPair, worst = 0] = sorted.at(-1) ?? [];
  const [, median = 0] = sorted[Math.floor(sorted.length / 2)] ?? [];
  const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
  t.diagnostic(`${sorted.length} pairs connected: median ${seconds(median)}, worst ${seconds(worst)} (${worstPair})`);
  assert.ok(worst < CONNECT_WITHIN_MS, `${worstPair} took ${seconds(worst)}: ${JSON.stringify(sorted)}`);
}

describe("connecting", () => {
  const stun4 = [stunServers.stun1.ipv4, stunServers.stun2.ipv4];
  const both = [stunServers.stun1, stunServers.stun2].flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
  let first: Mesh;
  const isImpossible = ([one, two]: Pair) =>
    (one.nat === "symm" && (two.nat === "symm" || two.nat === "port")) || (two.nat === "symm" && one.nat === "port");

  test("over IPv4, through every pair of NATs that lets it", async (t) => {
    first = await openMesh(
      {
        sites: [
          { nat: "fullcone" },
          { nat: "addr" },
          { nat: "port" },
          { nat: "port", via: "cg1" },
          { nat: "port", via: "cg1" },
          { nat: "direct" },
          { nat: "symm" },
          { nat: "symm" },
        ],
        carriers: { cg1: { hairpin: true } },
      },
      { stun: stun4 },
    );
    const pairs = pairsOf(first.lab.hosts).filter((pair) => !isImpossible(pair));
    assert.equal(pairs.length, 21);
    report(t, await connect(first, pairs));
  });

  test("over IPv6, through firewalls and NAT66", async (t) => {
    const mesh = await openMesh(
      {
        sites: [
          { v6: "fw" },
          { v6: "open" },
          { v6: "nat66", nat: "port" },
          { v6: "nat66", nat: "addr" },
          { v6: "fw", via: "cg1" },
          { nat: "direct" },
        ],
      },
      { stun: [stunServers.stun1.ipv6], protocol: "ipv6", peerProtocol: "ipv6" },
    );
    report(t, await connect(mesh, pairsOf(mesh.lab.hosts)));
    await mesh.lab.close();
  });

  test("with both families, by the one that works", async (t) => {
    const mesh = await openMesh(
      {
        sites: [
          { nat: "port", v6: "fw" },
          { nat: "symm", v6: "fw" },
          { nat: "port", v6: "none" },
          { nat: "port", v6: "none", via: "cg1" },
          { nat: "direct" },
          { nat: "fullcone", v6: "none" },
        ],
      },
      { stun: both, protocol: "dualstack", peerProtocol: "prefer_ipv6" },
    );
    const hasIpv6 = ({ site }: LabHost) => [1, 2, 5].includes(site);
    const pairs = pairsOf(mesh.lab.hosts).filter((pair) => pair.every(hasIpv6) || !isImpossible(pair));
    assert.equal(pairs.length, 13);
    report(t, await connect(mesh, pairs));
    for (const [one, two] of pairs) {
      const endpoint = await mesh.lab.endpoint(one.name, two.name);
      assert.equal(endpoint?.startsWith("["), hasIpv6(one) && hasIpv6(two), `${nameOf([one, two])}: ${endpoint}`);
    }
    await mesh.lab.close();
  });

  test("falls back to IPv6 when the preferred IPv4 leads nowhere", async (t) => {
    const mesh = await openMesh(
      { sites: [{ nat: "symm" }, { nat: "port" }] },
      { stun: both, protocol: "dualstack", peerProtocol: "prefer_ipv4" },
    );
    const [one, two] = [mesh.lab.host(1), mesh.lab.host(2)];
    const ms = (await waitForTunnel(mesh.lab, [one, two], { timeoutMs: 45_000 })) - mesh.startedAtMs;
    t.diagnostic(`the first family gave way and the tunnel worked after ${(ms / 1000).toFixed(1)} s`);
    assert.match((await mesh.lab.endpoint("h1", "h2")) ?? "", /^\[2001:db8:/);
    await mesh.lab.close();
  });

  test("is impossible behind symmetric NATs, and both sides say so", async () => {
    const { lab, daemons } = first;
    const handshakes = await readHandshakes(lab);
    const impossible = pairsOf(lab.hosts).filter(isImpossible);
    for (const pair of impossible) {
      for (const [host, peer] of [pair, pair.toReversed() as unknown as Pair]) {
        const daemon = daemons.find((candidate) => candidate.host === host)!;
        const { level, hint } = await daemon.waitForEvent(
          { msg: "peer not reachable", peer: peer.name },
          { timeoutMs: 30_000 },
        );
        assert.equal(level, "warn");
        assert.match(hint ?? "", /symmetric NAT/, `${host.name} about ${peer.name}`);
      }
    }
    const connected = impossible.filter((pair) => haveHandshake(pair, handshakes));
    assert.deepEqual(connected.map(nameOf), []);
    const warned = daemons.filter((daemon) =>
      daemon.events().some(({ msg }) => msg === "NAT maps every destination to another port (symmetric NAT)"),
    );
    assert.deepEqual(
      warned.map(({ host }) => host.nat),
      ["symm", "symm"],
    );
    // Nobody is said to be unreachable who is not.
    const said = daemons.flatMap((daemon) =>
      daemon
        .events()
        .filter(({ msg }) => msg === "peer not reachable")
        .map(({ peer }) => `${daemon.host.name}-${peer}`),
    );
    assert.deepEqual(said.toSorted(), impossible.flatMap(([a, b]) => [nameOf([a, b]), nameOf([b, a])]).toSorted());
  });

  test("leaves daemons that end well when told to", async () => {
    const exits = await Promise.all(first.daemons.map(({ process }) => process.stop()));
    assert.deepEqual(
      exits.map(({ code }) => code),
      first.daemons.map(() => 0),
    );
  });
});
