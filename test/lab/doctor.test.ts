/**
 * Why it does not work, situation by situation: `doctor` names the one true cause, and so does the daemon's status, as JSON
 * and in the table. All situations share one lab, four at a time.
 */
import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import type { InterfaceStatus, PeerStatus } from "../../src/status.ts";
import { type Daemon, type MeshConfigOptions, meshConfig, runProgram, startDaemon, waitForTunnel } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import { startWebFolder } from "./store-servers.ts";
import { waitFor } from "./wait.ts";

interface Finding {
  readonly level: string;
  readonly check: string;
  readonly subject: string;
  readonly text: string;
  readonly hint?: string;
}

interface Examined {
  readonly code: number | null;
  readonly findings: readonly Finding[];
  readonly text: string;
}

describe("doctor", { concurrency: 4 }, () => {
  let lab: Lab;
  const configOf = (host: LabHost, peers: readonly LabHost[], options: Partial<MeshConfigOptions> = {}) =>
    meshConfig(lab, host, { peers, stun: [lab.stun.stun1.ipv4], ...options });

  /** Runs the doctor on `host`. */
  async function examine(t: TestContext, host: LabHost, config: object): Promise<Examined> {
    const startedMs = performance.now();
    const result = await runProgram(lab, host, { config, command: ["doctor", "--json"], args: [] });
    const tookMs = performance.now() - startedMs;
    t.diagnostic(`${host.name}: ${(tookMs / 1000).toFixed(1)} s`);
    assert.equal(result.stderr, "");
    const { ok, findings } = JSON.parse(result.stdout) as { ok: boolean; findings: readonly Finding[] };
    assert.equal(result.code, ok ? 0 : 1);
    return { code: result.code, findings, text: JSON.stringify(findings, undefined, 1) };
  }

  /** The doctor says `sentence`, as `check` of `peer` (its verdict by default) on `host`. */
  function assertSays(
    { findings, text }: Examined,
    sentence: RegExp,
    { check = "verdict", level = "fail" }: { readonly check?: string; readonly level?: string } = {},
  ): void {
    const said = findings.filter((one) => one.check === check && sentence.test(one.text));
    assert.deepEqual(
      said.map((one) => one.level),
      [level],
      `${sentence} as ${check}:\n${text}`,
    );
  }

  const askStatus = ({ daemon, config, env }: Asked, ...options: readonly string[]) =>
    runProgram(lab, daemon.host, { config, command: ["status", ...options], args: [], ...(env && { env }) });

  /** Nothing while the daemon does not answer. */
  async function readStatus(asked: Asked): Promise<readonly InterfaceStatus[]> {
    const { stdout } = await askStatus(asked, "--json");
    return JSON.parse(stdout || "{}").interfaces ?? [];
  }

  /** A sentence that `find` takes from the status of a daemon comes to match, and the table for people has it, too. */
  async function waitForSentence(asked: Asked, sentence: RegExp, find: FindSentences): Promise<void> {
    let last: readonly string[] = [];
    await waitFor(
      async () => {
        last = (await readStatus(asked)).flatMap((one) => find(one) ?? []);
        return last.some((text) => sentence.test(text));
      },
      { what: `the status of ${asked.daemon.host.name} say ${sentence}`, everyMs: 1_000 },
    ).catch((error: Error) => assert.fail(`${error.message}: it said ${JSON.stringify(last)}`));
    const { stdout } = await askStatus(asked);
    const inTable = new RegExp(`(why|note|not ready): .*${sentence.source.replace(/^\^/, "")}`);
    assert.match(stdout.replace(/\s+/g, " "), inTable);
  }

  /** The daemon's sentence about why `peer` is not reachable. */
  const waitForWhy = (asked: Asked & { readonly peer: LabHost }, why: RegExp) =>
    waitForSentence(asked, why, ({ peers }) => find(peers, asked.peer)?.why);
  /** A note about `peer`. */
  const waitForNote = (asked: Asked & { readonly peer: LabHost }, note: RegExp) =>
    waitForSentence(asked, note, ({ peers }) => find(peers, asked.peer)?.notes);

  before(async () => {
    const port = { nat: "port" } as const;
    const symm = { nat: "symm" } as const;
    lab = await openLab({
      sites: [port, port, port, port, port, symm, port, symm, port, port, port, port, port, port, port],
      services: ["stun1", "stun2"],
      keepaliveS: 2,
    });
  });
  after(() => lab.close());

  test("two hosts with one key", async (t) => {
    const [one, clone, peer] = [lab.host(13), lab.host(15), lab.host(2)];
    const config = configOf(one, [peer]);
    const daemon = await startDaemon(lab, one, { config });
    // It publishes once more when it knows its NAT, and would take its place back.
    const isPublished = async () => {
      const [{ mapping, peers } = { mapping: undefined, peers: [] }] = await readStatus({ daemon, config });
      const at = find(peers, peer)?.published[0]?.at;
      return mapping && at && at > mapping.observedAt;
    };
    await waitFor(isPublished, { what: "what is published with its NAT", everyMs: 500 });
    const key = `${lab.directory}/keys/${one.name}.key`;
    await lab.wg(clone.name, ["set", clone.wireguardInterface, "private-key", key]);
    const env = { STATE_DIRECTORY: `${lab.directory}/state-clone`, ...shiftClock(5_000) };
    const options = { config: configOf(clone, [peer]), command: ["publish"], env };
    const { code, stdout, stderr } = await runProgram(lab, clone, options);
    assert.equal(code, 0, stdout + stderr);
    const foreign = /^another host publishes with this host's key: the store has 203\.0\.113\.122:\d+, which this host/;
    await waitForWhy({ daemon, config, peer }, foreign);
    await daemon.waitForEvent({ msg: "another host publishes with this interface's key", peer: peer.name });
    assertSays(await examine(t, one, config), foreign);
  });

  test("a wrong key: the peer is not on the device here, and has published nothing there", async (t) => {
    const [one, two] = [lab.host(1), lab.host(2)];
    const stranger = { ...two, publicKey: await newPublicKey(lab) };
    const { publicKey } = stranger;
    const [wrong, right] = [configOf(one, [stranger]), configOf(two, [one])];
    const daemons = await Promise.all([
      startDaemon(lab, one, { config: wrong }),
      startDaemon(lab, two, { config: right }),
    ]);
    await daemons[0].waitForEvent({ msg: "peer is missing", peer: two.name });
    await daemons[1].waitForEvent({ msg: "endpoint published" });
    const examined = await examine(t, one, wrong);
    assertSays(examined, /^the peer is not on the device: no peer there has the public key /);
    assert.match(examined.text, /; the device has \S{43}=/);
    assertSays(await examine(t, two, right), /^the peer has published nothing for this host in shared$/);
    const missing = /^the peer is not on the device: no peer there has the public key .*; the device has .* instead/;
    await waitForWhy({ daemon: daemons[0], config: wrong, peer: two }, missing);
    // As wrong in WireGuard as in the configuration.
    await lab.wg(one.name, ["set", one.wireguardInterface, "peer", publicKey, "allowed-ips", "10.200.0.1/32"]);
    const nothing = /^the peer has published nothing for this host: .* or one side has a wrong public key of the other/;
    await waitForWhy({ daemon: daemons[0], config: wrong, peer: two }, nothing);
    await waitForWhy({ daemon: daemons[1], config: right, peer: one }, nothing);
  });

  test("a wrong token, and a store that is down", async (t) => {
    const [one, two, other] = [lab.host(3), lab.host(2), lab.host(1)];
    await startWebFolder(lab);
    const plugin = (port: number) => ({
      type: "http",
      url: `http://198.51.100.10:${port}`,
      token: "wrong-token-0123",
    });
    const refused = configOf(one, [two, other], {
      plugins: { web: plugin(8788), dead: plugin(9) },
      pluginOf: (peer) => (peer === two ? "web" : "dead"),
    });
    const daemon = await startDaemon(lab, one, { config: refused });
    const { err } = await daemon.waitForEvent({ msg: "publish failed", plugin: "web" });
    assert.match(err ?? "", /401/);
    const examined = await examine(t, one, refused);
    assertSays(examined, /^addresses cannot be exchanged, the store web does not work: .*401/);
    assert.doesNotMatch(examined.text, /wrong-token/);
    const down = /^addresses cannot be exchanged, the store dead does not work: .*(ECONNREFUSED|refused)/;
    assertSays(examined, down);
    const why =
      /^addresses cannot be exchanged, the store web does not work: .*401.*"stunmesh-ts store test web" tries/;
    await waitForWhy({ daemon, config: refused, peer: two }, why);
    await waitForWhy({ daemon, config: refused, peer: other }, down);
  });

  test("UDP is blocked", async (t) => {
    const [one, two] = [lab.host(4), lab.host(2)];
    await lab.fault("udp_block", "r4", "on");
    const config = configOf(one, [two]);
    const daemon = await startDaemon(lab, one, { config });
    assertSays(
      await examine(t, one, config),
      /^UDP is blocked: no STUN server answers .*198\.51\.100\.10:3478 is reached by TCP$/,
    );
    await waitForWhy({ daemon, config, peer: two }, /^no STUN server answers, .*no peer is heard: UDP is blocked/);
  });

  test("STUN is blocked, other UDP is not", async (t) => {
    const [one, two] = [lab.host(5), lab.host(7)];
    const options = { stun: [lab.stun.stun2.ipv4], ping: true };
    const config = configOf(one, [two], options);
    const [daemon] = await Promise.all([
      startDaemon(lab, one, { config }),
      startDaemon(lab, two, { config: configOf(two, [one], { ...options, refreshInterval: "11m" }) }),
    ]);
    await waitForTunnel(lab, [one, two]);
    await lab.fault("stun_block", "stun2", "on");
    const examined = await examine(t, one, config);
    assertSays(examined, /^STUN is blocked, or the servers are dead: none answers, though other UDP works \(h7 /, {
      check: "udp",
    });
    assertSays(examined, /^works: .*; but: .*STUN is blocked|^works: .*; but: .*198\.51\.100\.20:3478.*/, {
      level: "ok",
    });
    process.kill(daemon.process.pid, "SIGUSR1");
    await daemon.waitForEvent({ msg: "discovery failed", code: "STUN_NO_ANSWER" });
    const blocked = /^STUN is blocked, or the servers are dead: none answers, though other UDP works \(h7 was just/;
    await waitForSentence({ daemon, config }, blocked, ({ notes }) => notes);
  });

  test("a firewall that lets STUN through for every port but WireGuard's", async (t) => {
    const [one, two] = [lab.host(14), lab.host(2)];
    const rule =
      "add table inet f; add chain inet f i { type filter hook input priority 0; }; add rule inet f i udp dport 51820 drop";
    await lab.exec(one.name, ["nft", rule]);
    assertSays(
      await examine(t, one, configOf(one, [two])),
      /^198\.51\.100\.10:3478 answers other ports of this host, but not WireGuard's port 51820: a firewall/,
    );
  });

  test("symmetric NAT on one side, and on both", async (t) => {
    const [one, other, both] = [lab.host(6), lab.host(9), lab.host(8)];
    const configs = [configOf(one, [other, both]), configOf(other, [one]), configOf(both, [one])] as const;
    const daemons = await Promise.all([
      startDaemon(lab, one, { config: configs[0] }),
      startDaemon(lab, other, { config: configs[1] }),
      startDaemon(lab, both, { config: configs[2] }),
    ]);
    for (const daemon of daemons.slice(1)) await daemon.waitForEvent({ msg: "record fetched", peer: one.name });
    const here = /^the NAT in front of this host gives every destination another port \(symmetric NAT\), so the peer/;
    const twice =
      /^the NAT in front of this host .*\(symmetric NAT\), and so does the peer's: this pair cannot connect/;
    await Promise.all([
      waitForWhy({ daemon: daemons[0], config: configs[0], peer: other }, here),
      waitForWhy({ daemon: daemons[0], config: configs[0], peer: both }, twice),
      waitForWhy(
        { daemon: daemons[1], config: configs[1], peer: one },
        /^the peer's NAT gives every destination another port/,
      ),
      waitForWhy({ daemon: daemons[2], config: configs[2], peer: one }, twice),
    ]);
    const [atOne, atOther, atBoth] = await Promise.all([
      examine(t, one, configs[0]),
      examine(t, other, configs[1]),
      examine(t, both, configs[2]),
    ]);
    assertSays(
      atOne,
      /^this side's NAT maps per destination \(symmetric\), so this pair can connect only if the peer's/,
    );
    assertSays(atOne, /^the NATs of both sides map per destination \(symmetric\): this pair cannot connect directly$/);
    assertSays(
      atOther,
      /^the peer's NAT maps per destination \(symmetric\) and this side's filters by port: this pair cannot/,
    );
    assertSays(atBoth, /^the NATs of both sides map per destination \(symmetric\): this pair cannot connect directly$/);
  });

  test("no keepalive, and a clock that is an hour ahead", async (t) => {
    const [one, two] = [lab.host(10), lab.host(11)];
    await lab.wg(one.name, ["set", one.wireguardInterface, "peer", two.publicKey, "persistent-keepalive", "0"]);
    const config = configOf(one, [two]);
    const daemon = await startDaemon(lab, one, { config });
    await daemon.waitForEvent({ msg: "no keepalive: an idle tunnel loses its NAT mapping", peer: two.name });
    const published = await runProgram(lab, two, {
      config: configOf(two, [one]),
      command: ["publish"],
      env: shiftClock(3_600_000),
    });
    assert.equal(published.code, 0, published.stderr);
    const examined = await examine(t, one, config);
    const warning = { level: "warn" };
    assertSays(examined, /^no keepalive: an idle tunnel loses its NAT mapping/, { ...warning, check: "keepalive" });
    const clock = /^the peer's record is from 60 min in the future: the clock of the peer is ahead, or this host's/;
    assertSays(examined, clock, { ...warning, check: "record-clock" });
    await waitForNote({ daemon, config, peer: two }, clock);
    await waitForNote({ daemon, config, peer: two }, /^no keepalive: an idle tunnel loses its NAT mapping/);
  });

  test("no such interface", async (t) => {
    const [one, two] = [lab.host(2), lab.host(1)];
    const config = configOf({ ...one, wireguardInterface: "wgnone" }, [two]);
    const env = { STATE_DIRECTORY: `${lab.directory}/state-none`, RUNTIME_DIRECTORY: `${lab.directory}/run-none` };
    const daemon = await startDaemon(lab, one, { config, env });
    await daemon.waitForEvent({ msg: "interface is not ready", code: "WG_DEVICE_NOT_FOUND" });
    assertSays(await examine(t, one, config), /there is no WireGuard interface of this name/);
    const reason = /there is no WireGuard interface of this name/;
    await waitForSentence({ daemon, config, env }, reason, ({ reason }) => reason);
    await waitForWhy({ daemon, config, env, peer: two }, reason);
  });

  test("the listen port was changed, and no daemon noticed", async (t) => {
    const [one, two] = [lab.host(12), lab.host(2)];
    const config = configOf(one, [two]);
    const daemon = await startDaemon(lab, one, { config });
    await daemon.waitForEvent({ msg: "endpoint published" });
    await lab.wg(one.name, ["set", one.wireguardInterface, "listen-port", "40404"]);
    const { reason } = await daemon.waitForEvent({ msg: "device changed" });
    assert.match(reason ?? "", /listen port 51820 -> 40404/);
    const changed = /^WireGuard's listen port changed from 51820 to 40404 at 20\S+Z; peers that cannot reach this host/;
    await waitForSentence({ daemon, config }, changed, ({ device, notes }) =>
      device?.listenPort === 40404 ? notes : undefined,
    );
    await daemon.process.stop("SIGKILL");
    await lab.wg(one.name, ["set", one.wireguardInterface, "listen-port", "40405"]);
    const examined = await examine(t, one, config);
    const moved =
      /^this host is 203\.0\.113\.98:\d+ now, but has published 203\.0\.113\.98:\d+: its address or listen port/;
    assertSays(examined, moved, { check: "own-record" });
  });

  test("a peer that works, in colours of no kind and 80 columns", async () => {
    const [one, two] = [lab.host(7), lab.host(5)];
    const config = configOf(one, [two]);
    await waitForTunnel(lab, [one, two]);
    const { code, stdout } = await runProgram(lab, one, { config, command: ["doctor"], args: [] });
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^Verdict\n {2}ok +\S+\/h5: works: the last handshake with /m);
    assert.deepEqual(
      stdout.split("\n").filter((line) => line.length > 80 || line.includes("\u001b")),
      [],
    );
  });
});

interface Asked {
  readonly daemon: Daemon;
  readonly config: object;
  readonly env?: Readonly<Record<string, string>>;
}

type FindSentences = (one: InterfaceStatus) => string | readonly string[] | undefined;

function find(peers: readonly PeerStatus[], host: LabHost): PeerStatus | undefined {
  return peers.find(({ name }) => name === host.name);
}

async function newPublicKey(lab: Lab): Promise<string> {
  const key = (await lab.exec("srv", ["wg", "genkey"])).trim();
  return (await lab.exec("srv", ["sh", "-c", `echo ${key} | wg pubkey`])).trim();
}

/** Makes a program's wall clock go wrong. */
function shiftClock(ms: number): Readonly<Record<string, string>> {
  const code = `{const now=Date.now;Date.now=()=>now()+${ms}}`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
}
