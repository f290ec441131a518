/**
 * The daemon: one loop per interface, and what wakes them all: a changed network, the end of a sleep, a new configuration.
 */
import { setMaxListeners } from "node:events";
import { isDeepStrictEqual } from "node:util";
import type { Claims } from "./claims.ts";
import type { Clock } from "./clock.ts";
import type { Config, InterfaceConfig } from "./config/types.ts";
import { type ConfigNotes, createDaemonStatus } from "./daemon-status.ts";
import { createDebounce } from "./debounce.ts";
import { describeError, isAbort } from "./errors.ts";
import type { StateChange } from "./events.ts";
import { startInterfaceLoop } from "./interface-loop.ts";
import type { InterfaceLoop } from "./interface-loop-types.ts";
import type { Log } from "./log.ts";
import type { Parts } from "./parts.ts";
import type { PeerChange } from "./peer-change.ts";
import { keepStates } from "./peer-state.ts";
import type { Closable } from "./platform/types.ts";
import type { Occasion } from "./publishing.ts";
import { watchResume } from "./resume.ts";
import type { DaemonStatus } from "./status.ts";

/** More refreshes than this because of network changes help nobody; the regular ones go on. */
const NETWORK_REFRESHES_PER_MINUTE = 6;
/** The loop of an interface goes round every 5 s, and waits some seconds for WireGuard at most. */
const HANGING_AFTER_MS = 60_000;

export interface DaemonDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly parts: Pick<Parts, "platform" | "forInterface" | "useConfig" | "stores" | "systemName">;
  readonly claims: Claims;
  /** Told when a peer becomes something else. */
  readonly onState?: ((change: StateChange) => void) | undefined;
  /** Told when a tunnel comes up or goes down, or a peer's endpoint moves. Must not throw or wait. */
  readonly onPeerChange?: ((change: PeerChange & { readonly interface: string }) => void) | undefined;
}

export interface Daemon {
  /** Resolves when the daemon was stopped; rejects with an error that waiting cannot help. */
  readonly ended: Promise<void>;
  /**
   * Replaces the configuration. Interfaces and peers it does not change keep running and keep what is known about them. When
   * it rejects, nothing was changed.
   */
  reload(config: Config): Promise<void>;
  /** Gives every peer a turn now, or one of an interface. */
  refresh(occasion: Occasion, only?: { readonly interface: string; readonly peer: string }): void;
  /** What is known now. Asks nobody. */
  status(): DaemonStatus;
  /** Interfaces whose loop has not gone round for much longer than it should take. */
  hanging(): readonly string[];
  /** Notes for the status that a new configuration was not taken into use. */
  readonly refused: ConfigNotes["refused"];
}

interface Running {
  readonly config: InterfaceConfig;
  /** Everything else in the configuration that the loop depends on. */
  readonly surroundings: unknown;
  readonly loop: InterfaceLoop;
  stop(): Promise<void>;
}

/** Starts the loops of `config` and runs until `signal` is aborted. */
export async function startDaemon(
  config: Config,
  deps: DaemonDeps & { readonly signal: AbortSignal },
): Promise<Daemon> {
  const { clock, log, signal, parts, claims } = deps;
  const running = new Map<string, Running>();
  const known = createDaemonStatus({ clock, first: config });
  let networkRefreshes: number[] = [];
  let network: Closable | undefined;
  let onFatal: (error: unknown) => void = () => undefined;
  const fatal = new Promise<never>((_, reject) => {
    onFatal = reject;
  });
  // It may come before untilStopped() waits for it.
  fatal.catch(() => undefined);

  async function start(
    one: InterfaceConfig,
    { from, before }: { readonly from: Config; readonly before?: InterfaceLoop },
  ) {
    const stop = new AbortController();
    setMaxListeners(0, stop.signal);
    const onAbort = () => stop.abort();
    signal.addEventListener("abort", onAbort, { once: true });
    const memory = await claims.claim(one.name);
    // During a reload; nobody would stop it.
    if (signal.aborted) return;
    const restore = keepStates(before?.peers);
    const loop = startInterfaceLoop(
      {
        ...parts.forInterface(one),
        memory,
        restore,
        discoveryCounters: before?.counters,
        onState: deps.onState,
        onPeerChange: (change) => deps.onPeerChange?.({ ...change, interface: one.name }),
      },
      stop.signal,
    );
    loop.ended.catch(onFatal);
    running.set(one.name, {
      config: one,
      surroundings: surroundingsOf(one, from),
      loop,
      async stop() {
        signal.removeEventListener("abort", onAbort);
        stop.abort();
        await loop.ended.catch(() => undefined);
      },
    });
  }

  /** All that can fail, before anything is changed. */
  async function prepare(next: Config): Promise<() => Promise<void>> {
    try {
      for (const { name } of withPeers(next)) await claims.claim(name);
      return await parts.useConfig(next);
    } catch (error) {
      await claims.keepOnly([...running.keys()]);
      throw error;
    }
  }

  async function reload(next: Config): Promise<void> {
    const closeUnused = await prepare(next);
    const wanted = new Map(withPeers(next).map((one) => [one.name, one]));
    for (const [name, { config: before, surroundings, loop, stop }] of running) {
      const one = wanted.get(name);
      if (one && isDeepStrictEqual([before, surroundings], [one, surroundingsOf(one, next)])) continue;
      await stop();
      running.delete(name);
      if (one) await start(one, { from: next, before: loop });
      log.info({ interface: name }, one ? "interface restarted with its new configuration" : "interface removed");
    }
    for (const one of wanted.values()) if (!running.has(one.name)) await start(one, { from: next });
    await watchNetwork();
    // The new configuration is in use, whatever becomes of stores that nobody asks any more.
    await closeUnused().catch((error: unknown) => log.warn({ err: describeError(error) }, "store not closed"));
    await claims.keepOnly([...running.keys()]);
    known.loaded(next);
  }

  /** Changes of the tunnels themselves are none. */
  async function watchNetwork(): Promise<void> {
    await network?.close();
    network = undefined;
    if (signal.aborted) return;
    const isIgnored = (name: string) => [...running.keys()].some((one) => parts.systemName(one) === name);
    network = await watchOrWarn(deps, { isIgnored, onChange: () => debounce.call() });
  }

  function refresh(occasion: Occasion, only?: { readonly interface: string; readonly peer: string }): void {
    for (const [name, { loop }] of running) {
      if (!only) loop.refresh(occasion);
      else if (only.interface === name) loop.refresh(occasion, [only.peer]);
    }
  }

  function status(): DaemonStatus {
    const interfaces = [...running.values()].map(({ loop }) => loop.status());
    return known.status(interfaces, parts.stores());
  }

  function hanging(): readonly string[] {
    const nowMs = clock.monotonic();
    return [...running].flatMap(([name, { loop }]) => (nowMs - loop.roundAtMs() > HANGING_AFTER_MS ? [name] : []));
  }

  const debounce = createDebounce({ clock, quietMs: 300, maxMs: 2_000 }, () => {
    // Routers with routing daemons or containers change routes all day; a real change of uplink comes in a small burst.
    const nowMs = clock.monotonic();
    networkRefreshes = networkRefreshes.filter((atMs) => nowMs - atMs < 60_000);
    if (networkRefreshes.length >= NETWORK_REFRESHES_PER_MINUTE) {
      debounce.call();
      return;
    }
    networkRefreshes.push(nowMs);
    log.debug({}, "network changed");
    refresh("change");
  });

  for (const one of withPeers(config)) await start(one, { from: config });
  await watchNetwork();
  const resume = watchResume({ clock, signal }, ({ kind, sleptMs, missedMs }) => {
    const ms = Math.round(sleptMs);
    if (kind === "set") log.debug({ ms }, "clock was set forward");
    else log.info({ ms }, "resumed from sleep");
    for (const { loop } of running.values()) loop.resume(missedMs);
    refresh("change");
  });

  async function untilStopped(): Promise<void> {
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    try {
      await Promise.race([stopped, fatal]);
    } finally {
      debounce.cancel();
      await Promise.all([...running.values()].map((one) => one.stop()));
      await network?.close();
      await claims.keepOnly([]);
      if (signal.aborted) await resume.catch((error: unknown) => (isAbort(error) ? undefined : Promise.reject(error)));
    }
  }

  return { ended: untilStopped(), reload, refresh, status, hanging, refused: known.refused };
}

/** Interfaces there is something to do for. */
export function withPeers({ interfaces }: Config): readonly InterfaceConfig[] {
  return interfaces.filter(({ peers }) => peers.length > 0);
}

/** What a loop depends on besides its own part of the configuration. */
function surroundingsOf(one: InterfaceConfig, { plugins, stun, health, refreshIntervalMs, pollIntervalMaxMs }: Config) {
  const used = new Set(one.peers.flatMap(({ plugins }) => plugins));
  return { plugins: plugins.filter(({ name }) => used.has(name)), stun, health, refreshIntervalMs, pollIntervalMaxMs };
}

/** Not hearing of changes costs time, not function: everything is also looked at regularly. */
async function watchOrWarn(
  { parts, log }: DaemonDeps,
  { isIgnored, onChange }: { isIgnored(name: string): boolean; onChange(): void },
): Promise<Closable | undefined> {
  try {
    return await parts.platform.watchNetwork(onChange, { isIgnored });
  } catch (error) {
    log.warn({ err: describeError(error) }, "network changes are not noticed at once");
    return undefined;
  }
}
