/**
 * Who can connect does, and without keepalives; who cannot is told why. Meshes of sites behind all kinds of NAT
 * in which one daemon after the other starts. The figures are printed.
 */
import assert from "node:assert/strict";
import { after, describe, type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { type Daemon, type MeshConfigOptions, meshConfig, startDaemon, waitForTunnel } from "./daemon.ts";
import { type Lab, type LabHost, type LabOptions, openLab, stunServers } from "./lab.ts";
import { PATIENCE_MS } from "./wait.ts";

type Pair = readonly [LabHost, LabHost];

interface Mesh {
  readonly lab: Lab;
  readonly daemons: readonly Daemon[];
  readonly config: (host: LabHost) => object;
  /** Milliseconds from the start of the later daemon of each pair, by the pair's name. */
  readonly times: ReadonlyMap<string, number>;
}

interface MeshOptions extends LabOptions {
  readonly config: Omit<MeshConfigOptions, "peers">;
  readonly isPossible: (pair: Pair) => boolean;
  /** Start all daemons at the same time. */
  readonly atOnce?: boolean;
}

const open: Lab[] = [];
after(() => Promise.all(open.map((lab) => lab.close())));

/**
 * Brings a mesh up and waits until every possible pair of it is connected. The daemons start one after the other, so that
 * the figures are not about many starts on few processors, unless it is to be `atOnce`.
 */
async function connectMesh({ config, isPossible, atOnce = false, ...options }: MeshOptions): Promise<Mesh> {
  const lab = await openLab({ services: ["stun1", "stun2"], ...options });
  open.push(lab);
  const watching = watchPairs(lab, pairsOf(lab.hosts).filter(isPossible));
  // Whatever it rejects with is thrown below.
  watching.catch(() => undefined);
  const daemons: Daemon[] = [];
  const configOf = (host: LabHost) =>
    meshConfig(lab, host, { peers: lab.hosts.filter((peer) => peer !== host), ...config });
  for (const host of lab.hosts) {
    const daemon = await startDaemon(lab, host, { config: configOf(host) });
    if (!atOnce) await daemon.waitForEvent({ msg: "endpoint published" });
    daemons.push(daemon);
  }
  const startOf = (host: LabHost) => daemons.find((daemon) => daemon.host === host)!.startedAtMs;
  const times = [...(await watching)].map(
    ([pair, atMs]) => [nameOf(pair), atMs - Math.max(...pair.map(startOf))] as const,
  );
  return { lab, daemons, config: configOf, times: new Map(times) };
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

/** Waits for each of `pairs`; resolves with performance.now() of the first answers both ways. Rejects naming those without. */
async function watchPairs(lab: Lab, pairs: readonly Pair[]): Promise<ReadonlyMap<Pair, number>> {
  const connected = new Map<Pair, number>();
  const waiting = new Set(pairs);
  const mute: string[] = [];
  const pinging: Promise<void>[] = [];
  async function pingBothWays(pair: Pair): Promise<void> {
    try {
      connected.set(pair, await waitForTunnel(lab, pair));
    } catch (error) {
      mute.push(String(error));
    }
  }
  const end = performance.now() + PATIENCE_MS;
  while (waiting.size > 0 && performance.now() < end) {
    const handshakes = await readHandshakes(lab);
    for (const pair of [...waiting].filter((candidate) => haveHandshake(candidate, handshakes))) {
      waiting.delete(pair);
      pinging.push(pingBothWays(pair));
    }
    await sleep(50);
  }
  await Promise.all(pinging);
  assert.deepEqual({ withoutHandshake: [...waiting].map(nameOf), mute }, { withoutHandshake: [], mute: [] });
  return connected;
}

/**
 * Endpoints that were written although the daemon knew that the tunnel works; WireGuard's own was better. WireGuard has
 * no "write unless changed": a handshake that comes between the look and the write of one call is written over, which the
 * first packet from the peer corrects. Such a write follows a record that was fetched before the daemon knew.
 */
function findHarm(daemon: Daemon): readonly string[] {
  const reachable = new Map<string, { readonly endpoint: string | undefined; hasFetched: boolean }>();
  const harm: string[] = [];
  for (const { msg, peer = "", endpoint } of daemon.events()) {
    if (msg === "peer reachable") reachable.set(peer, { endpoint, hasFetched: false });
    if (msg === "tunnel is down") reachable.delete(peer);
    const known = reachable.get(peer);
    if (msg === "record fetched" && known) known.hasFetched = true;
    const isOther = known?.hasFetched && known.endpoint !== endpoint;
    if (msg === "endpoint set" && isOther) harm.push(`${daemon.host.name} sets ${peer} to ${endpoint}`);
  }
  return harm;
}

function report(t: TestContext, { lab, times }: Mesh): void {
  const symmetric = new Set(lab.hosts.filter(({ nat }) => nat === "symm").map(({ name }) => name));
  const isSymmetric = (pair: string) => pair.split("-").some((host) => symmetric.has(host));
  for (const [what, wanted] of [
    ["pairs", false],
    ["pairs with a symmetric NAT", true],
  ] as const) {
    const sorted = [...times].filter(([pair]) => isSymmetric(pair) === wanted).sort(([, a], [, b]) => a - b);
    const worst = sorted.at(-1);
    if (!worst) continue;
    const seconds = ([pair, ms]: readonly [string, number]) => `${(ms / 1000).toFixed(2)} s (${pair})`;
    const median = sorted[Math.floor(sorted.length / 2)]!;
    t.diagnostic(`${sorted.length} ${what} connected: median ${seconds(median)}, worst ${seconds(worst)}`);
  }
}

describe("connecting", () => {
  const stun4 = [stunServers.stun1.ipv4, stunServers.stun2.ipv4];
  const both = [stunServers.stun1, stunServers.stun2].flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]);
  let first: Mesh | undefined;
  const isPossible = ([one, two]: Pair) =>
    !(one.nat === "symm" && (two.nat === "symm" || two.nat === "port")) && !(two.nat === "symm" && one.nat === "port");

  test("over IPv4, through every pair of NATs that lets it", async (t) => {
    first = await connectMesh({
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
      config: { stun: stun4 },
      isPossible,
    });
    assert.equal(first.times.size, 21);
    report(t, first);
  });

  test("is impossible behind symmetric NATs, and both sides say so", async () => {
    assert.ok(first, "the mesh of the first test");
    const { lab, config } = first;
    // What they say once they said at a time when others had not been started. Those behind symmetric NATs came last.
    const daemons = await Promise.all(
      first.daemons.map(async (daemon) => {
        if (daemon.host.nat === "symm") return daemon;
        assert.equal((await daemon.process.stop()).code, 0);
        return startDaemon(lab, daemon.host, { config: config(daemon.host) });
      }),
    );
    first = { ...first, daemons };
    const handshakes = await readHandshakes(lab);
    const impossible = pairsOf(lab.hosts).filter((pair) => !isPossible(pair));
    for (const pair of impossible) {
      for (const [host, peer] of [pair, pair.toReversed() as unknown as Pair]) {
        const daemon = daemons.find((candidate) => candidate.host === host)!;
        const { level, hint } = await daemon.waitForEvent({ msg: "peer not reachable", peer: peer.name });
        assert.equal(level, "warn");
        // Which side it is the other one knows from the record.
        const side =
          host.nat === "symm" ? /^the NAT in front of this host .*symmetric NAT/ : /^the peer's NAT .*symmetric NAT/;
        assert.match(hint ?? "", side, `${host.name} about ${peer.name}`);
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

  test("over IPv6, through firewalls and NAT66", async (t) => {
    const mesh = await connectMesh({
      sites: [
        { v6: "fw" },
        { v6: "open" },
        { v6: "nat66", nat: "port" },
        { v6: "nat66", nat: "addr" },
        { v6: "fw", via: "cg1" },
        { nat: "direct" },
      ],
      config: { stun: [stunServers.stun1.ipv6], protocol: "ipv6", peerProtocol: "ipv6" },
      isPossible: () => true,
    });
    assert.equal(mesh.times.size, 15);
    report(t, mesh);
    await mesh.lab.close();
  });

  test("with both families, by the one that works", async (t) => {
    const hasIpv6 = ({ site }: LabHost) => [1, 2, 5].includes(site);
    const mesh = await connectMesh({
      sites: [
        { nat: "port", v6: "fw" },
        { nat: "symm", v6: "fw" },
        { nat: "port", v6: "none" },
        { nat: "port", v6: "none", via: "cg1" },
        { nat: "direct" },
        { nat: "fullcone", v6: "none" },
      ],
      config: { stun: both, protocol: "dualstack", peerProtocol: "prefer_ipv6" },
      isPossible: (pair) => pair.every(hasIpv6) || isPossible(pair),
    });
    assert.equal(mesh.times.size, 13);
    for (const [one, two] of pairsOf(mesh.lab.hosts)) {
      if (!mesh.times.has(nameOf([one, two]))) continue;
      const endpoint = await mesh.lab.endpoint(one.name, two.name);
      assert.equal(endpoint?.startsWith("["), hasIpv6(one) && hasIpv6(two), `${nameOf([one, two])}: ${endpoint}`);
    }
    report(t, mesh);
    await mesh.lab.close();
  });

  test("with libpcap at every other site, over both families", async (t) => {
    const mesh = await connectMesh({
      sites: [{ nat: "port" }, { nat: "port" }, { nat: "addr", via: "cg1" }, { nat: "direct" }],
      config: { stun: both, protocol: "dualstack", peerProtocol: "prefer_ipv4", capture: "mixed" },
      isPossible: () => true,
    });
    assert.equal(mesh.times.size, 6);
    report(t, mesh);
    await mesh.lab.close();
  });

  test("at the same time, without writing over an endpoint that WireGuard has just learned", async () => {
    for (let round = 0; round < 2; round++) {
      const mesh = await connectMesh({
        sites: [{ nat: "fullcone" }, { nat: "direct" }, ...Array.from({ length: 5 }, () => ({ nat: "symm" as const }))],
        config: { stun: stun4 },
        isPossible,
        atOnce: true,
      });
      assert.equal(mesh.times.size, 11);
      assert.deepEqual(mesh.daemons.flatMap(findHarm), []);
      await mesh.lab.close();
    }
  });

  test("falls back to IPv6 when the preferred IPv4 leads nowhere", async (t) => {
    const mesh = await connectMesh({
      sites: [{ nat: "symm" }, { nat: "port" }],
      config: { stun: both, protocol: "dualstack", peerProtocol: "prefer_ipv4" },
      isPossible: () => true,
    });
    t.diagnostic(`the first family gave way after ${((mesh.times.get("h1-h2") ?? 0) / 1000).toFixed(1)} s`);
    assert.match((await mesh.lab.endpoint("h1", "h2")) ?? "", /^\[2001:db8:/);
    await mesh.lab.close();
  });

  test("leaves daemons that end well when told to", async () => {
    const exits = await Promise.all((first?.daemons ?? []).map(({ process }) => process.stop()));
    assert.deepEqual(
      exits.map(({ code }) => code),
      Array(8).fill(0),
    );
  });
});
