/**
 * When to refresh: the loop of one interface. It looks at the device every few seconds and gives each peer its turn.
 *
 * A peer's turn comes at the start, at every refresh interval, when its tunnel is found dead, when its record changed,
 * when the device or this host's network changed, and, while it is not reachable, after growing delays. Turns of
 * different peers overlap; a peer has one at a time. An interface that is not there is waited for.
 */
import type { EndpointRecord } from "./address.ts";
import { isPacketDue, trialEndMs } from "./convergence.ts";
import { type CycleDeps, createCycle, type PeerOutcome } from "./cycle.ts";
import { createDeviceLook, type Look } from "./device-look.ts";
import { explainUnreachable, type Mapping } from "./diagnosis.ts";
import { errorCode, isAbort, isFatal } from "./errors.ts";
import { createFailureLog } from "./failures.ts";
import type { ResolveTarget } from "./health/target.ts";
import { startPeerHealth } from "./peer-health.ts";
import type { PeerState } from "./peer-state.ts";
import type { Occasion } from "./publishing.ts";
import { createReachabilityReport } from "./reachability.ts";
import { type Remembered, recall, remember } from "./remember.ts";
import { begin, createSchedule, finish, type Schedule, trigger } from "./schedule.ts";
import { findPeer } from "./settle.ts";
import { createStoreWatch } from "./store-watch.ts";
import { createWake } from "./wake.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** How often the device is looked at when nothing else happens: WireGuard tells nobody about its changes. */
const DEVICE_CHECK_MS = 5_000;
/** The same while there is no device. */
const DEVICE_WAIT_MS = 1_000;
/** The same while a handshake is hoped for. */
const HANDSHAKE_CHECK_MS = 500;
const HANDSHAKE_HOPE_MS = 15_000;
/** While a peer is not reachable the own address is discovered this often. That also keeps the published NAT mapping alive: NATs forget one after 30 s at the earliest (RFC 4787 asks for 2 min). */
const DISCOVERY_MAX_AGE_MS = 20_000;
/** While a store cannot be reached, nobody finds us there: it is tried more often than a peer is looked for. Stores are left alone after failures by a rule of their own, so that this costs little. */
const STORE_RETRY_MAX_MS = 5_000;
/** Triggers for many peers come within milliseconds; they share one discovery. */
const DISCOVERY_SHARE_MS = 1_000;

export interface InterfaceLoopDeps extends Omit<CycleDeps, "onAnswer" | "onOwnAddress" | "ping" | "saveSequence"> {
  readonly refreshIntervalMs: number;
  readonly pollIntervalMaxMs: number;
  /** Quick looks at the store after a health check found a tunnel dead. */
  readonly fixedRetries: number;
  /** 0..1 */
  random(): number;
  /** Learns how the NAT maps, in the background, whenever the own address changed; undefined = not known. */
  observeMapping(device: WireGuardDevice, signal: AbortSignal): Promise<Mapping | undefined>;
  /** Addresses of a ping target that is a name. */
  readonly resolveTarget: ResolveTarget;
  /** What survives a restart; undefined = nothing does. */
  readonly memory?: Remembered | undefined;
}

export interface InterfaceLoop {
  /** Resolves when the loop was stopped by its signal. Rejects with an error that waiting cannot help (errors.ts: fatal). */
  readonly ended: Promise<void>;
  /** What is known about each peer; to be handed to the loop that follows this one. */
  readonly peers: ReadonlyMap<string, PeerState>;
  /** Gives every peer (or the named ones) a turn now. */
  refresh(occasion: Occasion, names?: readonly string[]): void;
  /** The machine slept: what was seen before it says nothing any more. */
  resume(): void;
}

/** Keeps the peers of one interface reachable until `signal` is aborted. */
export function startInterfaceLoop(deps: InterfaceLoopDeps, signal: AbortSignal): InterfaceLoop {
  const { config, clock, log, random, refreshIntervalMs, pollIntervalMaxMs, fixedRetries } = deps;
  const wake = createWake(clock);
  const failures = createFailureLog(log);
  const schedules = new Map(config.peers.map(({ name }) => [name, createSchedule()]));
  const turns = new Set<Promise<void>>();
  /** Peers whose last turn had a failure in it. */
  const troubled = new Set<PeerState>();
  const reports = createReachabilityReport({ clock, log });
  let mapping: Mapping | undefined;
  let refreshAtMs = clock.monotonic();
  let device: WireGuardDevice | undefined;
  const doubts = new Set<PeerState>();
  let fatal: unknown;
  // Records vanish from some stores by themselves: there has to be a regular refresh, and one more, before that.
  const keptMs = Math.min(...[...deps.stores.values()].map(({ expiresAfterMs = Infinity }) => expiresAfterMs)) / 2.5;

  const cycle = createCycle({
    ...deps,
    onAnswer: () => wake.wake(),
    ping: (peer) => health.verdict(peer),
    saveSequence,
    onOwnAddress: (seen, own) => keepTrack(observeNat(seen, own)),
  });
  const peers = [...cycle.peers.values()];
  const watch = createStoreWatch({ stores: deps.stores, log, onChange: onRecordChanged });
  const lookAtDevice = createDeviceLook({ ...deps, interface: config.name, peers });
  const health = startPeerHealth(
    {
      ...deps,
      peers: cycle.peers,
      onNews: () => wake.wake(),
      onDown(peer) {
        scheduleOf(peer).failing = true;
        due(peer, "failure");
      },
    },
    signal,
  );

  async function observeNat(seen: WireGuardDevice, _own: EndpointRecord): Promise<void> {
    try {
      mapping = await deps.observeMapping(seen, signal);
    } catch (error) {
      if (!isAbort(error)) failures.failed("mapping", error, { message: "NAT could not be observed" });
    }
  }

  /** A record that changed under a working tunnel says that the peer moved: see at once whether it still works. */
  function onRecordChanged(peer: PeerState): void {
    if (peer.liveness !== "alive") {
      due(peer, "poll");
    } else if (peer.config.ping) {
      health.probeNow(peer);
    } else {
      doubts.add(peer);
      wake.wake();
    }
  }

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

  function due(peer: PeerState, occasion: Occasion): void {
    trigger(scheduleOf(peer), { nowMs: clock.monotonic(), occasion });
    wake.wake();
  }

  /** Brings what is known up to date with a look at the device, and acts on what became different. */
  function notice({ device: seen, isNew }: Look): void {
    if (isNew) {
      refreshAtMs = clock.monotonic();
      watch.update(seen, present(seen));
      if (deps.memory) recall(deps.memory, { device: seen, peers });
    }
    const before = new Map(peers.map((peer) => [peer, peer.liveness]));
    cycle.observe(seen, peers);
    const nowMs = clock.monotonic();
    health.looked(nowMs);
    // Only from this look on: bytes it has just found may be older than the doubt.
    for (const peer of doubts) peer.doubtedAtMs ??= nowMs;
    doubts.clear();
    for (const peer of present(seen)) noticePeer(peer, { before: before.get(peer), seen, nowMs });
    if (deps.memory) remember(deps.memory, { device: seen, peers });
  }

  async function saveSequence(): Promise<void> {
    if (!deps.memory || !device) return;
    remember(deps.memory, { device, peers });
    await deps.memory.flush();
  }

  function noticePeer(
    peer: PeerState,
    {
      before,
      seen,
      nowMs,
    }: { readonly before: PeerState["liveness"] | undefined; readonly seen: WireGuardDevice; readonly nowMs: number },
  ): void {
    if (peer.liveness === "alive") {
      scheduleOf(peer).failing = false;
      // Also when it has just come up: an endpoint that was written at the very moment of a handshake may be wrong at the
      // other end, which WireGuard there corrects with the first packet from us.
      const isDue =
        before !== "alive" ||
        peer.doubtedAtMs !== undefined ||
        (peer.observation && isPacketDue(peer.observation, nowMs));
      if (isDue) cycle.provoke(peer, { device: seen, signal });
    } else if (before === "alive" && !scheduleOf(peer).failing) {
      log.info({ peer: peer.config.name, reason: "nothing is heard from the peer" }, "tunnel is down");
      due(peer, "failure");
    }
  }

  function present(seen: WireGuardDevice): readonly PeerState[] {
    return peers.filter((peer) => findPeer(seen, peer));
  }

  function startTurns(seen: WireGuardDevice): void {
    const nowMs = clock.monotonic();
    if (nowMs >= refreshAtMs) {
      for (const peer of present(seen)) trigger(scheduleOf(peer), { nowMs, occasion: "interval" });
      refreshAtMs = nowMs + Math.min(refreshIntervalMs, keptMs) * (0.9 + 0.2 * random());
    }
    for (const peer of present(seen)) {
      const schedule = scheduleOf(peer);
      if (!schedule.busy && schedule.dueAtMs <= nowMs) keepTrack(takeTurn(peer, { schedule, device: seen }));
    }
  }

  async function takeTurn(
    peer: PeerState,
    { schedule, device }: { readonly schedule: Schedule; readonly device: WireGuardDevice },
  ): Promise<void> {
    const occasion = begin(schedule, clock.monotonic());
    const maxDiscoveryAgeMs = occasion === "poll" ? DISCOVERY_MAX_AGE_MS : DISCOVERY_SHARE_MS;
    let again = true;
    let maxMs = Math.min(pollIntervalMaxMs, refreshIntervalMs);
    try {
      const outcome = await cycle.refreshPeer(peer, { device, occasion, maxDiscoveryAgeMs, signal });
      if (isFatal(outcome.error)) fatal = outcome.error;
      const failed = hasFailed(outcome);
      // After a failure the peer may need a moment to publish, too, and is then to be found soon.
      if (outcome.fetched === "changed" || (troubled.has(peer) && !failed)) schedule.attempt = 0;
      if (failed) troubled.add(peer);
      else troubled.delete(peer);
      again = peer.liveness !== "alive" || failed;
      if (peer.liveness !== "alive" && (outcome.published === "failed" || isStoreAway(outcome.error))) {
        maxMs = Math.min(maxMs, STORE_RETRY_MAX_MS);
      }
    } catch (error) {
      if (!isAbort(error)) fatal = error;
    }
    finish(schedule, { nowMs: clock.monotonic(), again, maxMs, random: random(), fixedRetries });
    // The other family gets its chance when this one's is over, not when the store is looked at next.
    if (again) schedule.dueAtMs = Math.min(schedule.dueAtMs, trialEndMs(peer, clock.monotonic()));
    wake.wake();
  }

  /** For how long the loop may sleep. */
  function nextLookMs(seen: WireGuardDevice): number {
    const nowMs = clock.monotonic();
    const dues = present(seen)
      .map(scheduleOf)
      .flatMap(({ busy, dueAtMs }) => (busy ? [] : [dueAtMs]));
    const hoping = peers.some(
      ({ liveness, trial }) => liveness !== "alive" && trial && nowMs - trial.sinceMs < HANDSHAKE_HOPE_MS,
    );
    const doubting = peers.some(({ doubtedAtMs = -Infinity }) => nowMs - doubtedAtMs < HANDSHAKE_HOPE_MS);
    const check = hoping || doubting ? HANDSHAKE_CHECK_MS : DEVICE_CHECK_MS;
    return Math.max(1, Math.min(check, refreshAtMs - nowMs, ...dues.map((dueAtMs) => dueAtMs - nowMs)));
  }

  function report(seen: WireGuardDevice): void {
    reports.update(present(seen), (peer) =>
      explainUnreachable({
        liveness: peer.liveness,
        pingTarget: peer.config.ping?.target,
        hasRecord: peer.record !== undefined,
        endpoint: peer.observation?.endpoint,
        mapping,
        ownAddressKnown: cycle.own.current() !== undefined,
      }),
    );
  }

  async function loop(): Promise<void> {
    try {
      for (;;) {
        if (fatal) throw fatal;
        const look = await lookAtDevice(signal);
        device = look?.device;
        if (look) {
          notice(look);
          report(look.device);
          startTurns(look.device);
        }
        await wake.wait(look ? nextLookMs(look.device) : DEVICE_WAIT_MS, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      watch.close();
      await Promise.allSettled(turns);
    }
  }

  return {
    ended: loop(),
    peers: cycle.peers,
    refresh(occasion, names) {
      for (const peer of peers) {
        if (names && !names.includes(peer.config.name)) continue;
        due(peer, occasion);
        health.probeNow(peer);
      }
    },
    resume() {
      for (const peer of peers) delete peer.observation;
      wake.wake();
    },
  };
}

function isStoreAway(error: unknown): boolean {
  const code = errorCode(error);
  return code === "STORE_UNAVAILABLE" || code === "TIMEOUT";
}

function hasFailed({ published, fetched, settled }: PeerOutcome): boolean {
  return published === "failed" || fetched === "failed" || settled === "failed";
}
