/**
 * Composition root: builds the parts of the program from a configuration and fits them together.
 */
import { randomBytes } from "node:crypto";
import { dirname } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Family, formatTransportAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { Config, InterfaceConfig } from "./config/types.ts";
import type { NamedStore } from "./exchange.ts";
import { assertFamily, createHostAddresses, localAddresses } from "./host-addresses.ts";
import type { InterfaceLoopDeps } from "./interface-loop-types.ts";
import { createReportLeftOut, type LeftOutReport } from "./left-out.ts";
import type { Log } from "./log.ts";
import { describeNat, reportMapping } from "./nat.ts";
import { createNatOpener } from "./nat-opener.ts";
import { openPlatform } from "./platform/index.ts";
import type { Datagram, Platform, ProbeSocket } from "./platform/types.ts";
import { createStoreCounts, openStore, plugins } from "./plugins/index.ts";
import { createProvoker } from "./provoke.ts";
import { discover } from "./stun/discover.ts";
import { encodeBindingIndication, isBindingIndication, stunMatch, transactionIdBytes } from "./stun/message.ts";
import { observeMapping } from "./stun/observe.ts";
import { createResolve } from "./stun/resolve.ts";
import { createServerMemory } from "./stun/server-memory.ts";
import type { SessionOptions } from "./stun/session.ts";
import { openWireGuardControl } from "./wg/index.ts";
import { rememberSystemNames } from "./wg/system-name.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** Looking up the name of a STUN server. */
const RESOLVE_TIMEOUT_MS = 5_000;

export interface Parts {
  readonly platform: Platform;
  /** The stores of the configuration in use, by name. */
  stores(): ReadonlyMap<string, NamedStore>;
  /** Everything the loop or a single pass over one interface needs, by the configuration in use. */
  forInterface(config: InterfaceConfig): InterfaceLoopDeps;
  /** For the doctor: what it asks servers with, from WireGuard's port. */
  sessionOf(config: InterfaceConfig, options: SessionFor): SessionOptions;
  /** What the operating system calls an interface of the configuration, as far as it is known: on macOS `wg0` is a utun4. */
  systemName(name: string): string;
  /**
   * Takes another configuration into use; stores it does not change stay open. Resolves with a function that closes those
   * that are used no more, to be called when nobody uses them. Throws CONFIG_INVALID.
   */
  useConfig(config: Config): Promise<() => Promise<void>>;
  close(): Promise<void>;
}

export interface SessionFor {
  readonly device: WireGuardDevice;
  readonly family: Family;
  readonly signal: AbortSignal;
}

interface PartsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
}

/** Builds everything. Nothing is sent, read or opened yet but the stores. Throws CONFIG_INVALID, PLATFORM_UNSUPPORTED. */
export async function openParts({ config: first, clock, log }: PartsOptions): Promise<Parts> {
  const platform = await openPlatform({ clock });
  const wireguard = rememberSystemNames(openWireGuardControl({ clock }));
  const resolve = createResolve({ clock, timeoutMs: RESOLVE_TIMEOUT_MS });
  const reportLeftOut = createReportLeftOut(log);
  let config = first;
  let stores = openStores(config, { clock });

  function sessionOf(interfaceConfig: InterfaceConfig, { device, family, signal }: SessionFor): SessionOptions {
    return {
      servers: config.stun.servers,
      family,
      openSocket: (onDatagram) =>
        openSocketOf(platform, {
          device,
          family,
          interfaceConfig,
          onDatagram,
          systemName: wireguard.systemName(device.name),
          report: reportLeftOut({ device: device.name, family }),
        }),
      resolve,
      clock,
      signal,
      log: log.child({ interface: interfaceConfig.name }),
    };
  }

  function forInterface(interfaceConfig: InterfaceConfig): InterfaceLoopDeps {
    const interfaceLog = log.child({ interface: interfaceConfig.name });
    const memories = { ipv4: createServerMemory(), ipv6: createServerMemory() };
    return {
      config: interfaceConfig,
      wireguard,
      stores,
      clock,
      log: interfaceLog,
      random: Math.random,
      refreshIntervalMs: config.refreshIntervalMs,
      pollIntervalMaxMs: config.pollIntervalMaxMs,
      fixedRetries: config.health.fixedRetries,
      resolveTarget: resolve,
      hostAddresses: createHostAddresses({ clock, tunnel: () => wireguard.systemName(interfaceConfig.name) }),
      provoker: createProvoker({
        clock,
        openPinger(family) {
          const { name, fib } = interfaceConfig;
          return platform.openPinger({ family, interface: wireguard.systemName(name), fib });
        },
      }),
      natOpener: createNatOpener({
        clock,
        log: interfaceLog,
        createIndication: () => encodeBindingIndication(randomBytes(transactionIdBytes)),
        isIndication: isBindingIndication,
        openSocket: (device, { family, onDatagram }) =>
          openSocketOf(platform, {
            device,
            family,
            interfaceConfig,
            onDatagram,
            systemName: wireguard.systemName(device.name),
            report: reportLeftOut({ device: device.name, family }),
          }),
      }),
      async discover(device, { family, signal }) {
        assertFamily(family, device.name);
        const found = await discover({
          ...sessionOf(interfaceConfig, { device, family, signal }),
          memory: memories[family],
        });
        return { address: found.address, server: formatTransportAddress(found.server), rttMs: found.rttMs };
      },
      async observeMapping(device, signal) {
        const family: Family = interfaceConfig.protocol === "ipv6" ? "ipv6" : "ipv4";
        const observation = await observeMapping({
          ...sessionOf(interfaceConfig, { device, family, signal }),
          localPort: device.listenPort,
          localAddresses: localAddresses(device.name),
          memory: memories[family],
        });
        memories[family].distrust(observation.dissenters.map(({ serverName }) => serverName));
        reportMapping(observation, { family, log: interfaceLog });
        return describeNat(observation, family);
      },
    };
  }

  return {
    platform,
    stores: () => stores,
    forInterface,
    sessionOf,
    systemName: wireguard.systemName,
    async useConfig(next) {
      const before = stores;
      stores = openStores(next, { clock, before: { config, stores } });
      config = next;
      const unused = [...before].filter(([name, named]) => stores.get(name) !== named);
      return () => closeStores(unused.map(([, named]) => named));
    },
    close: () => closeStores([...stores.values()]),
  };
}

interface OpenStoresOptions {
  readonly clock: Clock;
  /** Instances that are configured just the same are taken from here. */
  readonly before?: { readonly config: Config; readonly stores: ReadonlyMap<string, NamedStore> };
}

function openStores(config: Config, { clock, before }: OpenStoresOptions): ReadonlyMap<string, NamedStore> {
  return new Map(
    config.plugins.map((instance) => {
      const known = before?.config.plugins.find(({ name }) => name === instance.name);
      const opened = before?.stores.get(instance.name);
      if (opened && isDeepStrictEqual(known, instance)) return [instance.name, opened];
      const { maxValueChars, expiresAfterMs } = plugins[instance.kind] ?? {};
      const counts = createStoreCounts();
      const store = openStore(instance, { clock, counts, directory: dirname(config.path) });
      const { name, dedup } = instance;
      return [name, { name, store, dedup, maxValueChars, expiresAfterMs, counts }];
    }),
  );
}

async function closeStores(stores: readonly NamedStore[]): Promise<void> {
  await Promise.all(stores.map(({ store }) => store.close?.()));
}

async function openSocketOf(
  platform: Platform,
  options: {
    readonly device: WireGuardDevice;
    readonly family: Family;
    readonly interfaceConfig: InterfaceConfig;
    readonly onDatagram: (datagram: Datagram) => void;
    /** What the system calls the tunnel. */
    readonly systemName: string;
    readonly report: LeftOutReport;
  },
): Promise<ProbeSocket> {
  const { device, family, interfaceConfig, onDatagram, systemName, report } = options;
  const socket = await platform.openProbeSocket({
    family,
    localPort: device.listenPort,
    firewallMark: device.firewallMark,
    capture: interfaceConfig.capture,
    interfaces: interfaceConfig.listenInterfaces,
    listenDefaultRoute: interfaceConfig.listenDefaultRoute,
    fib: interfaceConfig.fib,
    excludeInterface: systemName,
    match: stunMatch,
    onDatagram,
    onSkipped: report.onSkipped,
  });
  report.onOpen();
  return socket;
}
