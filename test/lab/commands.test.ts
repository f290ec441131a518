/** The commands that end by themselves: what they do, and what their exit status says. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { meshConfig, runProgram, storeOf, waitForTunnel } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import { waitFor } from "./wait.ts";

const QUIET = ["--log-level", "warn", "--log-format", "json"];

describe("commands", { concurrency: true }, () => {
  let lab: Lab;
  const config = (host: LabHost, peer: LabHost, stun: string = lab.stun.stun1.ipv4) =>
    meshConfig(lab, host, { peers: [peer], stun: [stun] });
  /** Runs a command on both hosts at once. */
  const onBoth = (sites: readonly [number, number], command: readonly string[]) => {
    const [one, two] = [lab.host(sites[0]), lab.host(sites[1])];
    const run = (host: LabHost, peer: LabHost) =>
      runProgram(lab, host, { command, config: config(host, peer), args: QUIET });
    return Promise.all([run(one, two), run(two, one)]);
  };

  before(async () => {
    lab = await openLab({ sites: Array.from({ length: 8 }, () => ({ nat: "port" as const })), services: ["stun1"] });
  });
  after(() => lab.close());

  test("publish and establish connect two sites without a daemon", async () => {
    const published = await onBoth([1, 2], ["publish", "--json"]);
    assert.deepEqual(
      published.map(({ code, stderr }) => ({ code, stderr })),
      [
        { code: 0, stderr: "" },
        { code: 0, stderr: "" },
      ],
    );
    const results = published.map(({ stdout }) => JSON.parse(stdout));
    assert.match(results[0][0].addresses[0], /^203\.0\.113\.10:2[0-4]\d{3}$/);
    assert.match(results[1][0].addresses[0], /^203\.0\.113\.18:2[0-4]\d{3}$/);

    const established = await onBoth([1, 2], ["establish", "--json"]);
    assert.deepEqual(
      established.map(({ code }) => code),
      [0, 0],
      JSON.stringify(established),
    );
    assert.equal(await lab.endpoint("h1", "h2"), results[1][0].addresses[0]);
    assert.equal(await lab.endpoint("h2", "h1"), results[0][0].addresses[0]);
    // Both know the other's endpoint, so that whoever pings opens the way for the other.
    await waitFor(async () => (await pingBothWays(lab, [1, 2])).every(({ received }) => received > 0), {
      what: "answers both ways",
    });
  });

  test("oneshot on both connects two sites and ends with 0", async (t) => {
    const started = performance.now();
    const ended = await onBoth([3, 4], ["--oneshot"]);
    t.diagnostic(`both ended after ${((performance.now() - started) / 1000).toFixed(1)} s`);
    assert.deepEqual(
      ended.map(({ code }) => code),
      [0, 0],
      JSON.stringify(ended),
    );
    await waitForTunnel(lab, [lab.host(3), lab.host(4)]);
  });

  test("end with 75 when no STUN server answers", async () => {
    const [one, two] = [lab.host(5), lab.host(6)];
    const { ipv4: server } = lab.stun.dead;
    const ended = await Promise.all([
      runProgram(lab, one, { command: ["publish"], config: config(one, two, server), args: QUIET }),
      runProgram(lab, two, { command: ["--oneshot"], config: config(two, one, server), args: QUIET }),
    ]);
    for (const { code, stdout, stderr } of ended) {
      assert.equal(code, 75, stdout + stderr);
      assert.match(stdout + stderr, /198\.51\.100\.99:3478.*no answer|no answer.*198\.51\.100\.99:3478/s);
    }
  });

  test("establish ends with 75 when the peer has published nothing", async () => {
    const [one, two] = [lab.host(7), lab.host(8)];
    const { code, stdout } = await runProgram(lab, one, {
      command: ["establish"],
      config: config(one, two),
      args: QUIET,
    });
    assert.deepEqual(
      { code, failed: /FAILED .*h8: .*published nothing/.test(stdout) },
      { code: 75, failed: true },
      stdout,
    );
  });

  test("end with 78 for a bad configuration, and say where it is wrong", async () => {
    const bad = "refresh_interval: 10\ninterfaces:\n  wg0:\n    peers: {}\n    protokol: ipv4\n";
    for (const command of [["run"], ["check"], ["publish"]]) {
      const { code, stdout, stderr } = await runProgram(lab, lab.host(7), { command, config: bad, args: [] });
      assert.deepEqual({ code, stdout }, { code: 78, stdout: "" });
      assert.match(stderr, /yaml:1:19: .*refresh_interval/);
      assert.match(stderr, /yaml:5:5: .*protokol.*protocol/);
    }
  });

  test("end with 77 without the capability to open raw sockets, in one line that names it", async () => {
    const [one, two] = [lab.host(7), lab.host(8)];
    // Root without capabilities: WireGuard's socket belongs to it, so that reading the device works.
    const wrap = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all"];
    for (const command of [["run"], ["--oneshot"]]) {
      const { code, stderr, stdout } = await runProgram(lab, one, {
        command,
        config: config(one, two),
        wrap,
        args: ["--log-level", "fatal"],
      });
      assert.equal(code, 77, `${command}: ${stdout}${stderr}`);
      assert.match(stderr, /^stunmesh-ts: [^\n]*CAP_NET_RAW[^\n]*\n$/, command.join());
    }
  });

  test("write nothing but records into the store", () => {
    const names = readdirSync(storeOf(lab));
    assert.deepEqual(
      names.filter((name) => !/^[0-9a-f]{40}$/.test(name)),
      [],
    );
  });
});

function pingBothWays(lab: Lab, [one, two]: readonly [number, number]) {
  return Promise.all([lab.ping(`h${one}`, lab.host(two).tunnel4), lab.ping(`h${two}`, lab.host(one).tunnel4)]);
}
