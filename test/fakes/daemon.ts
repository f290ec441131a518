/** A daemon for wg0 and wg1, each with a peer of its own, whose parts are those of the fake world. */
import { createClaims } from "../../src/claims.ts";
import type { Config, InterfaceConfig } from "../../src/config/types.ts";
import { type DaemonDeps, startDaemon } from "../../src/daemon.ts";
import type { InterfaceLoopDeps } from "../../src/interface-loop-types.ts";
import type { NetworkChange, Platform } from "../../src/platform/types.ts";
import { createFakeClock } from "./clock.ts";
import { createPeerConfig } from "./device.ts";
import { createFaultyStore } from "./faulty-store.ts";
import { createFakeLog } from "./log.ts";
import { createWorld, type Host } from "./world.ts";

export interface FakeDaemonOptions {
  /** Remembers in this directory and locks there; undefined = neither. */
  readonly directory?: string;
  /** Replaces some of the parts. */
  readonly parts?: Partial<DaemonDeps["parts"]>;
}

/** Starts it; two seconds have passed when it resolves. */
export async function startFakeDaemon({ directory, parts: otherParts }: FakeDaemonOptions = {}) {
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
      hostAddresses: () => ({ tunnel: [], all: [] }),
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
  const claims = directory
    ? createClaims({ directory, clock, log, waitMs: 0 })
    : {
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
    ...otherParts,
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
    far,
    store,
    daemon,
    ended,
    stop,
    seen,
    discoveries,
    config,
    network: () => onNetwork({ kind: "route" }),
  };
}
