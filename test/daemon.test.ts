import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config, InterfaceConfig } from "../src/config/types.ts";
import { startDaemon } from "../src/daemon.ts";
import { errorCode, StunmeshError } from "../src/errors.ts";
import type { InterfaceLoopDeps } from "../src/interface-loop.ts";
import type { NetworkChange, Platform } from "../src/platform/types.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createPeerConfig } from "./fakes/device.ts";
import { createFaultyStore } from "./fakes/faulty-store.ts";
import { createFakeLog } from "./fakes/log.ts";
import { createWorld, type Host } from "./fakes/world.ts";

/** A daemon for wg0 and wg1, each with a peer of its own, whose parts are those of the fake world. */
async function start() {
  const clock = createFakeClock(Date.UTC(2026, 10, 1));
  const log = createFakeLog();
  const world = createWorld(clock);
  const names = ["wg0", "wg1"] as const;
  const hosts = new Map<string, Host>(names.map((name) => [name, world.addHost(name)]));
  const far = new Map<string, Host>(names.map((name) => [name, world.addHost(`far-${name}`)]));
  for (const name of names) world.connect(hosts.get(name)!, far.get(name)!);
  const store = createFaultyStore(clock);
  const stop = new AbortController();
  const seen = { discoveries: new Map<string, number>(), isIgnored: (_name: string) => false, claimed: [""] };
  let onNetwork: (change: NetworkChange) => void = () => undefined;

  const config = (some: Partial<Config> = {}): Config => ({
    path: "/etc/stunmesh/config.yaml",
    refreshIntervalMs: 600_000,
    pollIntervalMaxMs: 30_000,
    log: { level: "info" },
    stun: { servers: [{ host: "198.51.100.10", port: 3478 }] },
    health: { fixedRetries: 3 },
    interfaces: names.map((name) => interfaceConfig(name)),
    plugins: [],
    ...some,
  });
  function interfaceConfig(name: string): InterfaceConfig {
    const { publicKey } = far.get(name)!;
    const peers = [createPeerConfig({ name: `far-${name}`, publicKey, plugins: ["store"] })];
    return { name, protocol: "ipv4", capture: "auto", listenInterfaces: [], listenDefaultRoute: false, peers };
  }
  function forInterface(one: InterfaceConfig): InterfaceLoopDeps {
    const host = hosts.get(one.name)!;
    return {
      config: one,
      wireguard: host.wireguard,
      provoker: host.provoker,
      async discover(_device, { family }) {
        seen.discoveries.set(one.name, (seen.discoveries.get(one.name) ?? 0) + 1);
        return { address: host.address[family]!, server: "198.51.100.10:3478", rttMs: 1 };
      },
      observeMapping: async () => undefined,
      resolveTarget: async () => [],
      stores: new Map([["store", { name: "store", store, dedup: false }]]),
      clock,
      log: log.child({ interface: one.name }),
      random: () => 0.5,
      refreshIntervalMs: 600_000,
      pollIntervalMaxMs: 30_000,
      fixedRetries: 3,
    };
  }
  const platform: Platform = {
    name: "linux",
    openProbeSocket: () => Promise.reject(new Error("not used")),
    openPinger: () => Promise.reject(new Error("not used")),
    async watchNetwork(onChange, { isIgnored = () => false } = {}) {
      onNetwork = onChange;
      seen.isIgnored = isIgnored;
      return { close: async () => undefined };
    },
  };
  const claims = {
    claim: async () => undefined,
    keepOnly: async (kept: readonly string[]) => {
      seen.claimed = [...kept];
    },
  };
  const parts = {
    platform,
    forInterface,
    useConfig: async () => async () => undefined,
    stores: () => new Map(),
    // As on macOS, where an interface may have another name than its configuration.
    systemName: (name: string) => name.replace("wg", "utun"),
  };
  const daemon = await startDaemon(config(), { clock, log, parts, claims, signal: stop.signal });
  const ended = daemon.ended.then(
    () => undefined,
    (error: unknown) => error,
  );
  await clock.advance(2_000);
  const discoveries = (name: string) => seen.discoveries.get(name) ?? 0;
  return {
    clock,
    log,
    hosts,
    daemon,
    ended,
    stop,
    seen,
    discoveries,
    config,
    network: () => onNetwork({ kind: "route" }),
  };
}

test("reload() leaves alone what did not change, restarts what did, and ends what is gone", async () => {
  const { clock, log, daemon, ended, stop, discoveries, config, seen } = await start();
  const [before0, before1] = [discoveries("wg0"), discoveries("wg1")];
  assert.ok(before0 > 0 && before1 > 0);
  await daemon.reload(config());
  await clock.advance(500);
  assert.deepEqual([discoveries("wg0"), discoveries("wg1")], [before0, before1]);
  const [wg0, wg1] = config().interfaces;
  await daemon.reload(config({ interfaces: [wg0!, { ...wg1!, protocol: "dualstack" }] }));
  await clock.advance(500);
  assert.equal(discoveries("wg0"), before0);
  assert.ok(discoveries("wg1") > before1);
  assert.equal(log.find("interface restarted with its new configuration", "info")[0]?.interface, "wg1");
  await daemon.reload(config({ interfaces: [wg0!] }));
  assert.equal(log.find("interface removed", "info")[0]?.interface, "wg1");
  assert.deepEqual(seen.claimed, ["wg0"]);
  assert.deepEqual(["utun0", "utun1", "wg0", "em0"].map(seen.isIgnored), [true, false, false, false]);
  stop.abort();
  assert.equal(await ended, undefined);
});

test("a changed network makes every interface discover anew, once for a burst and not without end", async () => {
  const { clock, network, ended, stop, discoveries } = await start();
  const before = discoveries("wg0");
  for (let change = 0; change < 50; change++) network();
  await clock.advance(3_000);
  assert.equal(discoveries("wg0"), before + 1);
  for (let second = 0; second < 50; second++) {
    network();
    await clock.advance(1_000);
  }
  assert.ok(discoveries("wg0") <= before + 12, String(discoveries("wg0") - before));
  stop.abort();
  assert.equal(await ended, undefined);
});

test("an error that waiting cannot help ends the daemon, also while it starts", async () => {
  const { clock, hosts, ended } = await start();
  const host = hosts.get("wg0");
  assert.ok(host);
  host.wireguard.readDevice = async () => {
    throw new StunmeshError("PERMISSION_DENIED", "Cannot read the device: CAP_NET_ADMIN is missing");
  };
  await clock.advance(6_000);
  assert.equal(errorCode(await ended), "PERMISSION_DENIED");
});
