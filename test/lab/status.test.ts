/** The control socket of a real daemon, and the commands that use it. */
import assert from "node:assert/strict";
import { existsSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { DaemonStatus } from "../../src/status.ts";
import { type Daemon, meshConfig, program, startDaemon, waitForTunnel } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import { runCommand, spawnProcess } from "./process.ts";
import { waitFor } from "./wait.ts";

describe("status", () => {
  let lab: Lab;
  let hosts: readonly [LabHost, LabHost];
  let daemons: readonly Daemon[];
  const socketOf = (host: LabHost) => join(lab.directory, `run-${host.name}`, "control.sock");
  /** Runs a command that asks the daemon of `host`. */
  const ask = (host: LabHost, ...args: readonly string[]) =>
    runCommand([process.execPath, program, ...args, "--socket", socketOf(host)]);
  const statusOf = async (host: LabHost): Promise<DaemonStatus> =>
    JSON.parse((await ask(host, "status", "--json")).stdout);

  before(async () => {
    const sites = [{ nat: "port" as const }, { nat: "port" as const }];
    lab = await openLab({ sites, services: ["stun1", "stun2"], keepaliveS: 25 });
    hosts = [lab.host(1), lab.host(2)];
    const [one, two] = hosts;
    const stun = [lab.stun.stun1.ipv4, lab.stun.stun2.ipv4];
    const config = (host: LabHost, peer: LabHost) => meshConfig(lab, host, { peers: [peer], stun, ping: true });
    daemons = [
      await startDaemon(lab, one, { config: config(one, two) }),
      await startDaemon(lab, two, { config: config(two, one) }),
    ];
    await waitForTunnel(lab, hosts);
    for (const daemon of daemons) await daemon.waitForEvent({ msg: "peer reachable" });
    for (const daemon of daemons) await daemon.waitForEvent({ msg: "NAT observed" });
    const isPinged = async () => (await statusOf(one)).interfaces[0]?.peers[0]?.ping?.verdict === "up";
    await waitFor(isPinged, { what: "an answered ping", everyMs: 300 });
  });
  after(() => lab.close());

  test("shows own addresses, NAT and a reachable peer, in 80 columns", async (t) => {
    const [one, two] = hosts;
    const { code, stdout, stderr } = await ask(one, "status");
    t.diagnostic(`\n${stdout}`);
    assert.equal(code, 0, stdout + stderr);
    for (const line of stdout.split("\n")) assert.ok(line.length <= 80, line);
    assert.match(stdout, new RegExp(`${two.name} +reachable .* ms, \\d+ %`));
    const { interfaces, stores, pid } = await statusOf(one);
    const [wg] = interfaces;
    assert.match(wg?.own.ipv4?.address ?? "", /^203\.0\.113\.10:2[0-4]\d{3}$/);
    assert.equal(wg?.mapping?.behavior, "endpoint-independent");
    assert.equal(wg?.peers[0]?.endpoint, await lab.endpoint(one.name, two.name));
    assert.ok((stores[0]?.calls ?? 0) > 0 && stores[0]?.type === "file", JSON.stringify(stores));
    assert.equal(pid, daemons[0]?.process.pid);
  });

  test("the socket is for its owner and group only, and nothing else is left beside it", () => {
    assert.equal(statSync(socketOf(hosts[0])).mode & 0o777, 0o660);
  });

  test("why, refresh and metrics answer, and refuse names there are not", async () => {
    const [one, two] = hosts;
    const why = await ask(one, "why", two.name);
    assert.equal(why.code, 0, why.stderr);
    assert.match(why.stdout, new RegExp(`^${one.wireguardInterface}/${two.name}: reachable for`));
    const unknown = await ask(one, "why", "nobody");
    assert.equal(unknown.code, 64);
    assert.match(unknown.stderr, new RegExp(`"nobody".*there are .*${two.name}`));
    const counted = async () => (await statusOf(one)).interfaces[0]?.peers[0]?.counters.publishes ?? 0;
    const before = await counted();
    const refreshed = await ask(one, "refresh", two.name);
    assert.deepEqual([refreshed.code, refreshed.stdout], [0, `refreshing ${one.wireguardInterface}/${two.name}\n`]);
    await waitFor(async () => (await counted()) > before, { what: "one more publication" });
    const metrics = await ask(one, "metrics");
    assert.match(metrics.stdout, /^stunmesh_info\{version=/m);
  });

  test("reload changes nothing when the configuration is bad, and says where it is wrong", async () => {
    const [one, two] = hosts;
    const file = join(lab.directory, `${one.name}-1.yaml`);
    assert.ok(existsSync(file), file);
    const stun = [lab.stun.stun1.ipv4, lab.stun.stun2.ipv4];
    const good = JSON.stringify(meshConfig(lab, one, { peers: [two], stun, ping: true }));
    writeFileSync(file, "refresh_interval: 10\n");
    const bad = await ask(one, "reload");
    assert.equal(bad.code, 78, bad.stdout);
    assert.match(bad.stderr, /yaml:1:19: .*refresh_interval/);
    const noted = await statusOf(one);
    assert.match(noted.config.error ?? "", /refresh_interval/);
    assert.equal(noted.interfaces.length, 1);
    writeFileSync(file, good);
    const reloaded = await ask(one, "reload");
    assert.deepEqual([reloaded.code, reloaded.stdout], [0, `${file}: reloaded\n`]);
    assert.equal((await statusOf(one)).config.error, undefined);
  });

  test("events tell that the peer is lost, and status says why; then the daemon ends and nobody answers", async (t) => {
    const [one, two] = hosts;
    const events = await spawnProcess([process.execPath, program, "events", "--socket", socketOf(one)]);
    await events.waitForLine((line) => line.includes('"type":"hello"'), { what: "the first event" });
    await daemons[1]?.process.stop();
    await lab.exec(two.name, ["ip", "link", "set", two.wireguardInterface, "down"]);
    await events.waitForLine((line) => line.includes('"type":"state"') && line.includes('"state":"unreachable"'), {
      what: "the state unreachable",
    });
    const lost = await ask(one, "status");
    t.diagnostic(`\n${lost.stdout}`);
    assert.equal(lost.code, 1);
    assert.match(lost.stdout, /unreachable.*why: nothing comes back from 203\.0\.113\.18/s);
    await daemons[0]?.process.stop();
    await events.exited;
    assert.equal(existsSync(socketOf(one)), false);
    for (const command of [["status"], ["why", two.name], ["refresh"], ["reload"], ["events"], ["metrics"]]) {
      const { code, stderr } = await ask(one, ...command);
      assert.equal(code, 69, stderr);
      assert.match(stderr, /none answers at ".*control\.sock".*Start it with/);
    }
  });
});
