/**
 * Why it does not work, situation by situation: `doctor` names the one true cause, and where the daemon knows it as well,
 * its status or its log does too. All situations share one lab, four at a time.
 */
import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
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

const DOCTOR_WITHIN_MS = 15_000;

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
    assert.ok(tookMs < DOCTOR_WITHIN_MS, `took ${tookMs} ms`);
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

  /** The daemon's own sentence about `peer` comes to match. */
  async function waitForWhy(daemon: Daemon, { config, peer, why }: { config: object; peer: LabHost; why: RegExp }) {
    let last = "";
    await waitFor(
      async () => {
        const { stdout } = await runProgram(lab, daemon.host, { config, command: ["status", "--json"], args: [] });
        const interfaces: readonly { peers: readonly { name: string; why?: string }[] }[] =
          JSON.parse(stdout || "{}").interfaces ?? [];
        last = interfaces.flatMap(({ peers }) => peers).find(({ name }) => name === peer.name)?.why ?? stdout;
        return why.test(last);
      },
      { what: `the status of ${daemon.host.name} say ${why}`, timeoutMs: 25_000, everyMs: 1_000 },
    ).catch((error: Error) => assert.fail(`${error.message}: it said "${last}"`));
  }

  before(async () => {
    const port = { nat: "port" } as const;
    const symm = { nat: "symm" } as const;
    lab = await openLab({
      sites: [port, port, port, port, port, symm, port, symm, port, port, port, port, port, port],
      services: ["stun1", "stun2"],
      keepaliveS: 2,
    });
  });
  after(() => lab.close());

  test("a wrong key: the peer is not on the device here, and has published nothing there", async (t) => {
    const [one, two] = [lab.host(1), lab.host(2)];
    const stranger = { ...two, publicKey: await newPublicKey(lab) };
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
    await waitForWhy(daemons[1], { config: right, peer: one, why: /the peer has published nothing for this host/ });
  });

  test("a wrong token, and a store that is down", async (t) => {
    const [one, two] = [lab.host(3), lab.host(2)];
    await startWebFolder(lab);
    const plugin = (port: number) => ({
      web: { type: "http", url: `http://198.51.100.10:${port}`, token: "wrong-token-0123" },
    });
    const refused = configOf(one, [two], { plugins: plugin(8788) });
    const daemon = await startDaemon(lab, one, { config: refused });
    const { err } = await daemon.waitForEvent({ msg: "publish failed", plugin: "web" });
    assert.match(err ?? "", /401/);
    const examined = await examine(t, one, refused);
    assertSays(examined, /^addresses cannot be exchanged, the store web does not work: .*401/);
    assert.doesNotMatch(examined.text, /wrong-token/);
    const why = /this host's address is in no store yet.*401|cannot be looked up.*401/;
    await waitForWhy(daemon, { config: refused, peer: two, why });

    const down = await examine(t, one, configOf(one, [two], { plugins: plugin(9) }));
    assertSays(down, /^addresses cannot be exchanged, the store web does not work: .*(ECONNREFUSED|refused)/);
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
    await waitForWhy(daemon, { config, peer: two, why: /no STUN server answers/ });
  });

  test("STUN is blocked, other UDP is not", async (t) => {
    const [one, two] = [lab.host(5), lab.host(7)];
    const options = { stun: [lab.stun.stun2.ipv4], ping: true };
    const config = configOf(one, [two], options);
    const [daemon] = await Promise.all([
      startDaemon(lab, one, { config }),
      startDaemon(lab, two, { config: configOf(two, [one], { ...options, refreshInterval: "11m" }) }),
    ]);
    await waitForTunnel(lab, [one, two], { timeoutMs: 20_000 });
    await lab.fault("stun_block", "stun2", "on");
    const examined = await examine(t, one, config);
    assertSays(examined, /^STUN is blocked, or the servers are dead: none answers, though other UDP works \(h7 /, {
      check: "udp",
    });
    assertSays(examined, /^works: .*; but: .*STUN is blocked|^works: .*; but: .*198\.51\.100\.20:3478.*/, {
      level: "ok",
    });
    process.kill(daemon.process.pid, "SIGUSR1");
    await daemon.waitForEvent({ msg: "discovery failed", code: "STUN_NO_ANSWER" }, { timeoutMs: 15_000 });
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
    await Promise.all([
      waitForWhy(daemons[1], {
        config: configs[1],
        peer: one,
        why: /the peer's NAT gives every destination another port/,
      }),
      waitForWhy(daemons[2], { config: configs[2], peer: one, why: /symmetric NAT\), and so does the peer's/ }),
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
  });

  test("no such interface", async (t) => {
    const [one, two] = [lab.host(2), lab.host(1)];
    const config = configOf({ ...one, wireguardInterface: "wgnone" }, [two]);
    const env = { STATE_DIRECTORY: `${lab.directory}/state-none`, RUNTIME_DIRECTORY: `${lab.directory}/run-none` };
    const daemon = await startDaemon(lab, one, { config, env });
    await daemon.waitForEvent({ msg: "interface is not ready", code: "WG_DEVICE_NOT_FOUND" });
    assertSays(await examine(t, one, config), /there is no WireGuard interface of this name/);
  });

  test("the listen port was changed, and no daemon noticed", async (t) => {
    const [one, two] = [lab.host(12), lab.host(2)];
    const config = configOf(one, [two]);
    const daemon = await startDaemon(lab, one, { config });
    await daemon.waitForEvent({ msg: "endpoint published" });
    await lab.wg(one.name, ["set", one.wireguardInterface, "listen-port", "40404"]);
    const { reason } = await daemon.waitForEvent({ msg: "device changed" });
    assert.match(reason ?? "", /listen port 51820 -> 40404/);
    await daemon.process.stop("SIGKILL");
    await lab.wg(one.name, ["set", one.wireguardInterface, "listen-port", "40405"]);
    const examined = await examine(t, one, config);
    const moved =
      /^this host is 203\.0\.113\.98:\d+ now, but has published 203\.0\.113\.98:\d+: its address or listen port/;
    assertSays(examined, moved, { check: "own-record" });
  });

  test("two hosts with one key", async (t) => {
    const [one, clone, peer] = [lab.host(13), lab.host(3), lab.host(2)];
    const publish = (host: LabHost, env: Readonly<Record<string, string>> = {}) =>
      runProgram(lab, host, { config: configOf(host, [peer]), command: ["publish"], env });
    assert.equal((await publish(one)).code, 0);
    const key = `${lab.directory}/keys/${one.name}.key`;
    await lab.wg(clone.name, ["set", clone.wireguardInterface, "private-key", key]);
    const env = { STATE_DIRECTORY: `${lab.directory}/state-clone`, ...shiftClock(5_000) };
    const { code, stdout, stderr } = await publish(clone, env);
    assert.equal(code, 0, stdout + stderr);
    const examined = await examine(t, one, configOf(one, [peer]));
    assertSays(examined, /^another host publishes with this host's key: the store has 203\.0\.113\.26:\d+, which this/);
  });

  test("a peer that works, in colours of no kind and 80 columns", async () => {
    const [one, two] = [lab.host(7), lab.host(5)];
    const config = configOf(one, [two]);
    await waitForTunnel(lab, [one, two], { timeoutMs: 30_000 });
    const { code, stdout } = await runProgram(lab, one, { config, command: ["doctor"], args: [] });
    assert.equal(code, 0, stdout);
    assert.match(stdout, /^Verdict\n {2}ok +\S+\/h5: works: the last handshake with /m);
    assert.deepEqual(
      stdout.split("\n").filter((line) => line.length > 80 || line.includes("\u001b")),
      [],
    );
  });
});

async function newPublicKey(lab: Lab): Promise<string> {
  const key = (await lab.exec("srv", ["wg", "genkey"])).trim();
  return (await lab.exec("srv", ["sh", "-c", `echo ${key} | wg pubkey`])).trim();
}

/** Makes a program's wall clock go wrong. */
function shiftClock(ms: number): Readonly<Record<string, string>> {
  const code = `{const now=Date.now;Date.now=()=>now()+${ms}}`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(code)}` };
}
