/** Whatever comes in from outside, the daemon lives on, says what is wrong, and works again when it is right. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { repositoryRoot } from "../fixtures/path.ts";
import { type Daemon, meshConfig, runProgram, startDaemon, storeOf, waitForTunnel } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";

const QUIET = ["--log-level", "warn", "--log-format", "json"];
const stund = join(repositoryRoot, "test/lab/tools/stund.mjs");

/** Modes of tools/stund.mjs, and what the daemon says when it has no other server. */
const badModes = [
  { mode: "wrong-tid", says: /no answer/ },
  { mode: "wrong-magic", says: /no answer/ },
  { mode: "garbage", says: /no answer/ },
  { mode: "error", says: /500/ },
  { mode: "truncated", says: /length 12 at byte 2, but 4 follow/ },
  { mode: "attr-overrun", says: /no usable answer/ },
  { mode: "no-attr", says: /no mapped address/i },
  { mode: "other-family", says: /2001:db8:dead::1.*no IPv4 address/ },
  { mode: "lie:0.0.0.0:40000", says: /0\.0\.0\.0:40000/ },
  { mode: "lie:127.0.0.1:40000", says: /127\.0\.0\.1:40000/ },
  { mode: "lie:203.0.113.1:0", says: /port is 0/ },
] as const;
/** Unusual, but good enough. */
const goodModes = ["mapped-only", "dup", "slow:300", "drop-first:2"] as const;

describe("STUN servers that misbehave", () => {
  let lab: Lab;
  /** Every site has a server of its own, site N at 198.51.100.(100+N). */
  const modes = [...badModes.map(({ mode }) => mode), ...goodModes];
  const serverOf = ({ site }: LabHost) => `198.51.100.${100 + site}`;
  const setMode = async (host: LabHost, mode: string) => {
    const send = 'exec 3<>/dev/udp/$1/3479; printf "MODE %s" "$2" >&3; read -r -t 60 -N 2 -u 3 answer; echo "$answer"';
    assert.equal((await lab.exec("srv", ["bash", "-c", send, "_", serverOf(host), mode])).trim(), "OK", mode);
  };

  before(async () => {
    lab = await openLab({
      sites: modes.map(() => ({ nat: "port" as const, v6: "none" as const })),
      services: ["stun1"],
    });
    const addresses = lab.hosts.map((host) => `addr add ${serverOf(host)}/24 dev eth0`);
    await lab.exec("srv", ["ip", "-batch", "-"], { input: addresses.join("\n") });
    await Promise.all(
      lab.hosts.map(async (host, index) => {
        const server = await lab.spawn("srv", [process.execPath, stund, serverOf(host)]);
        await server.waitForLine((line) => line === "ready");
        await setMode(host, modes[index]!);
      }),
    );
  });
  after(() => lab.close());

  const configOf = (host: LabHost, servers: readonly string[]) =>
    meshConfig(lab, host, { peers: [lab.hosts.find((peer) => peer !== host)!], stun: servers });
  const publicAddress = (host: LabHost) => `203.0.113.${8 * host.site + 2}:2`;

  test("do not keep a good server from being asked", async (t) => {
    const started = performance.now();
    await Promise.all(
      badModes.map(async ({ mode }, index) => {
        const host = lab.hosts[index]!;
        const { code, stdout, stderr } = await runProgram(lab, host, {
          command: ["publish", "--json"],
          config: configOf(host, [`${serverOf(host)}:3478`, lab.stun.stun1.ipv4]),
          args: QUIET,
        });
        assert.equal(code, 0, `${mode}: ${stdout}${stderr}`);
        const [{ addresses }] = JSON.parse(stdout);
        assert.ok(addresses.length === 1 && addresses[0].startsWith(publicAddress(host)), `${mode}: ${addresses}`);
      }),
    );
    t.diagnostic(`${badModes.length} at once: ${((performance.now() - started) / 1000).toFixed(1)} s`);
  });

  test("that are the only one are named with the reason, and used when they behave again", async () => {
    await Promise.all(
      badModes.map(async ({ mode, says }, index) => {
        const host = lab.hosts[index]!;
        const daemon = await startDaemon(lab, host, { config: configOf(host, [`${serverOf(host)}:3478`]) });
        const { err, level } = await daemon.waitForEvent({ msg: "discovery failed" });
        assert.equal(level, "warn");
        assert.match(err ?? "", says, mode);
        assert.ok(err?.includes(serverOf(host)), `${mode}: ${err}`);
        await setMode(host, "ok");
        const { ipv4 } = await daemon.waitForEvent({ msg: "discovered IPv4 endpoint" });
        assert.ok(ipv4?.startsWith(publicAddress(host)), `${mode}: ${ipv4}`);
        assert.equal((await daemon.process.stop()).code, 0);
      }),
    );
  });

  test("that are merely old, slow or lossy are good enough", async () => {
    await Promise.all(
      goodModes.map(async (mode, index) => {
        const host = lab.hosts[badModes.length + index]!;
        const { code, stdout, stderr } = await runProgram(lab, host, {
          command: ["publish", "--json"],
          config: configOf(host, [`${serverOf(host)}:3478`]),
          args: QUIET,
        });
        assert.equal(code, 0, `${mode}: ${stdout}${stderr}`);
        assert.ok(JSON.parse(stdout)[0].addresses[0].startsWith(publicAddress(host)), `${mode}: ${stdout}`);
      }),
    );
  });
});

describe("stores, plugins and devices that misbehave", { concurrency: true }, () => {
  let lab: Lab;
  before(async () => {
    lab = await openLab({ sites: Array.from({ length: 13 }, () => ({ nat: "port" as const })), services: ["stun1"] });
  });
  after(() => lab.close());

  const stun = () => [lab.stun.stun1.ipv4];

  test("bad values in the store are refused by name, and the good one after them is taken", async () => {
    const [one, two, three] = [lab.host(1), lab.host(2), lab.host(3)];
    const folder = join(lab.directory, "bad-values");
    const plugins = { shared: { type: "file", path: folder } };
    const publish = async (host: LabHost) => {
      const before = namesIn(folder);
      const config = meshConfig(lab, host, { peers: [one], stun: stun(), plugins });
      assert.equal((await runProgram(lab, host, { command: ["publish"], config, args: QUIET })).code, 0);
      const [name] = namesIn(folder).filter((candidate) => !before.includes(candidate));
      return join(folder, name!);
    };
    const place = await publish(two);
    const good = readFileSync(place);
    const foreign = readFileSync(await publish(three));
    writeFileSync(place, "garbage");

    const before = namesIn(folder);
    const daemon = await startDaemon(lab, one, {
      config: meshConfig(lab, one, { peers: [two], stun: stun(), plugins }),
    });
    const failed = async (wanted: { readonly code: string; readonly err: string }) => {
      const { level, err } = await daemon.waitForEvent({ msg: "fetch failed", peer: two.name, ...wanted });
      assert.equal(level, "warn", err);
      assert.ok(!err?.includes(good.toString().slice(0, 20)), err);
    };
    await failed({ code: "RECORD_UNREADABLE", err: "not hexadecimal" });
    writeFileSync(place, Buffer.alloc(10_000_000, "a"));
    await failed({ code: "STORE_REPLY_INVALID", err: "64 KiB" });
    writeFileSync(place, foreign);
    await failed({ code: "RECORD_UNREADABLE", err: "key" });
    const own = namesIn(folder).find((name) => !before.includes(name));
    copyFileSync(join(folder, own!), place);
    await failed({ code: "RECORD_REFLECTED", err: "" });
    assert.ok(!daemon.events().some(({ msg }) => msg === "endpoint set"));
    writeFileSync(place, good);
    await daemon.waitForEvent({ msg: "endpoint set", peer: two.name });
    await daemon.waitForEvent({ msg: "fetch works again" });
    assert.equal((await daemon.process.stop()).code, 0);
  });

  test("a plugin that hangs, one that babbles and one that fails do not delay the peer of another", async (t) => {
    const [one, two, ...rest] = [4, 5, 6, 7, 8].map((site) => lab.host(site)) as [LabHost, LabHost, ...LabHost[]];
    const shared = { type: "file", path: storeOf(lab) };
    const shell = (script: string) => ({ type: "exec", command: "sh", args: ["-c", script] });
    const [hangs, babbles, fails] = rest.map(({ name }) => name);
    const pluginOf = ({ name }: LabHost) =>
      name === hangs ? "hanging" : name === babbles ? "babbling" : name === fails ? "failing" : "shared";
    const config = meshConfig(lab, one, {
      peers: [...rest, two],
      stun: stun(),
      pluginOf,
      plugins: {
        hanging: { ...shell("sleep 1000"), timeout: "20s" },
        babbling: shell("head -c 30000 /dev/urandom"),
        failing: shell("echo 'the disk of the store is full' >&2; exit 3"),
        shared,
      },
    });
    const other = await startDaemon(lab, two, { config: meshConfig(lab, two, { peers: [one], stun: stun() }) });
    const daemon = await startDaemon(lab, one, { config });
    const ms = (await waitForTunnel(lab, [one, two])) - daemon.startedAtMs;
    t.diagnostic(`connected after ${(ms / 1000).toFixed(2)} s`);
    const isHanging = !daemon.events().some(({ peer, code }) => peer === hangs && code === "TIMEOUT");
    assert.ok(isHanging, "connected before the one that hangs is given up");
    const said = async (peer: string | undefined, code: string) => {
      const { err } = await daemon.waitForEvent({ msg: "publish failed", peer: peer ?? "", code });
      return err ?? "";
    };
    assert.match(await said(hangs, "TIMEOUT"), /hanging.*20 s|hanging.*20000 ms/);
    assert.match(await said(babbles, "STORE_REPLY_INVALID"), /babbling.*JSON/);
    assert.match(await said(fails, "STORE_FAILED"), /failing.*exit status 3.*the disk of the store is full/);
    await stopAll([daemon, other]);
  });

  for (const [index, ping] of [true, false].entries()) {
    test(`an interface that is made anew with another port is found again, ${ping ? "with" : "without"} pings`, async (t) => {
      const pair = [lab.host(9 + 2 * index), lab.host(10 + 2 * index)] as const;
      const [one, two] = pair;
      const start = (host: LabHost, peer: LabHost) =>
        startDaemon(lab, host, { config: meshConfig(lab, host, { peers: [peer], stun: stun(), ping }) });
      const daemons = await Promise.all([start(one, two), start(two, one)]);
      await waitForTunnel(lab, pair);
      await lab.fault("wg_stop", one.name);
      await lab.fault("wg_start", one.name, 51999);
      const started = performance.now();
      await waitForTunnel(lab, pair);
      t.diagnostic(`${((performance.now() - started) / 1000).toFixed(1)} s after the interface came back`);
      await stopAll(daemons);
    });
  }

  test("an interface that comes only after the daemon is waited for", async () => {
    const [one, two] = [lab.host(13), lab.host(1)];
    await lab.fault("wg_stop", one.name);
    const daemon = await startDaemon(lab, one, { config: meshConfig(lab, one, { peers: [two], stun: stun() }) });
    const { code } = await daemon.waitForEvent({ msg: "interface is not ready", level: "warn" });
    assert.equal(code, "WG_DEVICE_NOT_FOUND");
    await lab.fault("wg_start", one.name);
    await daemon.waitForEvent({ msg: "endpoint published" });
    await stopAll([daemon]);
  });
});

function namesIn(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).filter((name) => !name.startsWith(".")) : [];
}

async function stopAll(daemons: readonly Daemon[]): Promise<void> {
  const exits = await Promise.all(daemons.map(({ process }) => process.stop()));
  assert.deepEqual(
    exits.map(({ code }) => code),
    daemons.map(() => 0),
  );
}
