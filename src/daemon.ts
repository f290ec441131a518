/**
 * When to refresh: one loop per interface that looks at the device every few seconds and gives each peer its turn.
 *
 * A peer's turn comes at the start, at every refresh interval, when its tunnel is found dead, when its record changed,
 * when the device changed, and, while it is not reachable, after growing delays. Turns of different peers overlap; a
 * peer has one at a time. An interface that is not there is waited for.
 */

import { isSessionAging } from "./convergence.ts";
import { type Cycle, type CycleDeps, createCycle, type PeerOutcome } from "./cycle.ts";
import { explainUnreachable, type Mapping } from "./diagnosis.ts";
import { errorKinds, isAbort, StunmeshError } from "./errors.ts";
import { createFailureLog } from "./failures.ts";
import type { PeerState } from "./peer-state.ts";
import { createReachabilityReport } from "./reachability.ts";
import { begin, createSchedule, finish, type Schedule, trigger } from "./schedule.ts";
import { findPeer } from "./settle.ts";
import { createStoreWatch } from "./store-watch.ts";
import { createWake } from "./wake.ts";
import { describeDeviceChange } from "./wg/changes.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** How often the device is looked at when nothing else happens: WireGuard tells nobody about its changes. */
const DEVICE_CHECK_MS = 5_000;
/** The same while a handshake is hoped for. */
const HANDSHAKE_CHECK_MS = 500;
const HANDSHAKE_HOPE_MS = 15_000;
/** While a peer is not reachable the own address is discovered this often. That also keeps the published NAT mapping alive: NATs forget one after 30 s at the earliest (RFC 4787 asks for 2 min). */
const DISCOVERY_MAX_AGE_MS = 20_000;
/** Triggers for many peers come within milliseconds; they share one discovery. */
const DISCOVERY_SHARE_MS = 1_000;

export interface InterfaceLoopDeps extends Omit<CycleDeps, "onAnswer" | "onOwnAddress"> {
  readonly refreshIntervalMs: number;
  readonly pollIntervalMaxMs: number;
  /** 0..1 */
  random(): number;
  /** Learns how the NAT maps, in the background, whenever the own address changed; undefined = not known. */
  observeMapping(device: WireGuardDevice, signal: AbortSignal): Promise<Mapping | undefined>;
}

/** Keeps the peers of one interface reachable until aborted. Rejects when aborted or when waiting cannot help (errors.ts: fatal). */
export async function runInterface(deps: InterfaceLoopDeps, signal: AbortSignal): Promise<never> {
  const { config, wireguard, clock, log, random, refreshIntervalMs, pollIntervalMaxMs } = deps;
  const wake = createWake(clock);
  const failures = createFailureLog(log);
  const schedules = new Map(config.peers.map(({ name }) => [name, createSchedule()]));
  const turns = new Set<Promise<void>>();
  const reports = createReachabilityReport({ clock, log });
  let mapping: Mapping | undefined;
  let refreshAtMs = clock.monotonic();
  let device: WireGuardDevice | undefined;
  let fatal: unknown;

  const cycle = createCycle({
    ...deps,
    onAnswer: () => wake.wake(),
    onOwnAddress(device) {
      const observing = deps.observeMapping(device, signal).then(
        (observed) => {
          mapping = observed;
        },
        (error: unknown) => {
          if (!isAbort(error)) log.debug({ err: String(error) }, "mapping not observed");
        },
      );
      keepTrack(observing);
    },
  });
  const watch = createStoreWatch({
    stores: deps.stores,
    log,
    onChange(peer) {
      if (peer.liveness !== "alive") due(peer, "poll");
    },
  });

  function keepTrack(turn: Promise<void>): void {
    turns.add(turn);
    // Nothing rejects here: every turn ends in its own handlers.
    void turn.finally(() => turns.delete(turn));
  }

  function scheduleOf(peer: PeerState): Schedule {
    const schedule = schedules.get(peer.config.name);
    if (!schedule) throw new RangeError(`Cannot schedule a peer that is not configured: "${peer.config.name}"`);
    return schedule;
  }

  function due(peer: PeerState, occasion: "interval" | "poll" | "failure"): void {
    trigger(scheduleOf(peer), { nowMs: clock.monotonic(), occasion });
    wake.wake();
  }

  /** Looks at the device; undefined when there is none (yet). */
  async function look(): Promise<WireGuardDevice | undefined> {
    try {
      const seen = await wireguard.readDevice(config.name, signal);
      failures.ended("device", { message: "interface is ready" });
      return seen;
    } catch (error) {
      if (isAbort(error) || isFatal(error)) throw error;
      failures.failed("device", error, { message: "interface is not ready" });
      return undefined;
    }
  }

  function notice(seen: WireGuardDevice): void {
    const changes = device ? describeDeviceChange(device, seen) : [];
    if (changes.length > 0) log.info({ reason: changes.join(", ") }, "device changed");
    if (changes.length > 0 || !device) {
      refreshAtMs = clock.monotonic();
      checkPeers(seen);
      watch.update(seen, presentPeers(cycle, seen));
    }
    const before = new Map([...cycle.peers.values()].map((peer) => [peer, peer.liveness]));
    cycle.observe(seen, cycle.peers.values());
    for (const peer of presentPeers(cycle, seen)) {
      if (before.get(peer) === "alive" && peer.liveness !== "alive") {
        log.info({ peer: peer.config.name, reason: "no handshake for 3 minutes" }, "tunnel is down");
        due(peer, "failure");
      } else if (isAging(peer, clock.monotonic())) {
        cycle.provoke(peer, { device: seen, signal });
      }
    }
    device = seen;
  }

  function checkPeers(seen: WireGuardDevice): void {
    for (const peer of cycle.peers.values()) {
      const { name } = peer.config;
      const reading = findPeer(seen, peer);
      if (!reading) {
        const error = new StunmeshError("WG_PEER_NOT_FOUND", `Peer "${name}" is not on the device: add it with wg(8)`);
        failures.failed(`peer ${name}`, error, { message: "peer is missing", fields: { peer: name } });
        continue;
      }
      failures.ended(`peer ${name}`, { message: "peer is on the device", fields: { peer: name } });
      if (reading.persistentKeepalive === 0) {
        log.info(
          { peer: name, hint: "set PersistentKeepalive = 25" },
          "no keepalive: an idle tunnel loses its NAT mapping",
        );
      }
    }
  }

  function startTurns(seen: WireGuardDevice): void {
    const nowMs = clock.monotonic();
    const present = presentPeers(cycle, seen);
    if (nowMs >= refreshAtMs) {
      for (const peer of present) trigger(scheduleOf(peer), { nowMs, occasion: "interval" });
      refreshAtMs = nowMs + refreshIntervalMs * (0.9 + 0.2 * random());
    }
    for (const peer of present) {
      const schedule = scheduleOf(peer);
      if (!schedule.busy && schedule.dueAtMs <= nowMs) keepTrack(takeTurn(peer, { schedule, device: seen }));
    }
  }

  async function takeTurn(
    peer: PeerState,
    { schedule, device }: { readonly schedule: Schedule; readonly device: WireGuardDevice },
  ): Promise<void> {
    const occasion = begin(schedule);
    const maxDiscoveryAgeMs = occasion === "poll" ? DISCOVERY_MAX_AGE_MS : DISCOVERY_SHARE_MS;
    let again = true;
    try {
      const outcome = await cycle.refreshPeer(peer, { device, occasion, maxDiscoveryAgeMs, signal });
      if (isFatal(outcome.error)) fatal = outcome.error;
      if (outcome.fetched === "changed") schedule.attempt = 0;
      again = peer.liveness !== "alive" || hasFailed(outcome);
    } catch (error) {
      if (!isAbort(error)) fatal = error;
    }
    finish(schedule, { nowMs: clock.monotonic(), again, maxMs: pollIntervalMaxMs, random: random() });
    wake.wake();
  }

  /** Until when the loop may sleep. */
  function nextLookMs(seen: WireGuardDevice): number {
    const nowMs = clock.monotonic();
    const present = presentPeers(cycle, seen);
    const dues = present.map(scheduleOf).flatMap(({ busy, dueAtMs }) => (busy ? [] : [dueAtMs]));
    const hoping = present.some(
      ({ liveness, trial }) => liveness !== "alive" && trial && nowMs - trial.sinceMs < HANDSHAKE_HOPE_MS,
    );
    const check = hoping ? HANDSHAKE_CHECK_MS : DEVICE_CHECK_MS;
    return Math.max(1, Math.min(check, refreshAtMs - nowMs, ...dues.map((dueAtMs) => dueAtMs - nowMs)));
  }

  try {
    for (;;) {
      if (fatal) throw fatal;
      const seen = await look();
      if (!seen) {
        device = undefined;
        await wake.wait(Math.min(DEVICE_CHECK_MS, 1_000), signal);
        continue;
      }
      notice(seen);
      reports.update(presentPeers(cycle, seen), (peer) =>
        explainUnreachable({
          hasRecord: peer.record !== undefined,
          endpoint: findPeer(seen, peer)?.endpoint,
          mapping,
          ownAddressKnown: cycle.own.current() !== undefined,
        }),
      );
      startTurns(seen);
      await wake.wait(nextLookMs(seen), signal);
    }
  } finally {
    watch.close();
    await Promise.allSettled(turns);
  }
}

function presentPeers(cycle: Cycle, device: WireGuardDevice): readonly PeerState[] {
  return [...cycle.peers.values()].filter((peer) => findPeer(device, peer));
}

function isAging({ observation, liveness }: PeerState, monotonicMs: number): boolean {
  return liveness === "alive" && observation !== undefined && isSessionAging(observation, monotonicMs);
}

function hasFailed({ published, fetched, settled }: PeerOutcome): boolean {
  return published === "failed" || fetched === "failed" || settled === "failed";
}

function isFatal(error: unknown): boolean {
  return error instanceof StunmeshError && errorKinds[error.code].fatal;
}
