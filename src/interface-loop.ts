/**
 * When to refresh: the loop of one interface. It looks at the device every few seconds, and sees to it that each peer gets
 * its turns (turns.ts).
 *
 * A peer's turn comes at the start, at every refresh interval, when its tunnel is found dead, when its record changed,
 * when the device or this host's network changed, and, while it is not reachable, after growing delays. Turns of
 * different peers overlap; a peer has one at a time. An interface that is not there is waited for.
 */
import { isPacketDue } from "./convergence.ts";
import { createCycle } from "./cycle.ts";
import { createDeviceLook, DEVICE_WAIT_MS, type Look, lookAgainMs } from "./device-look.ts";
import { explainPeer } from "./explain-peer.ts";
import type { InterfaceLoop, InterfaceLoopDeps } from "./interface-loop-types.ts";
import { interfaceStatus } from "./interface-status.ts";
import { createNatWatch, natClassOf } from "./nat.ts";
import { createOwnSlot } from "./own-slot.ts";
import { createPeerChanges } from "./peer-change.ts";
import { startPeerHealth } from "./peer-health.ts";
import { findPeer, type PeerState, passUnseen } from "./peer-state.ts";
import { createReachabilityReport } from "./reachability.ts";
import { recall, remember } from "./remember.ts";
import { createStoreWatch } from "./store-watch.ts";
import { createTurns } from "./turns.ts";
import { createWake } from "./wake.ts";
import type { WireGuardDevice } from "./wg/types.ts";

interface Noticed {
  readonly before: PeerState["liveness"] | undefined;
  readonly seen: WireGuardDevice;
  readonly nowMs: number;
}

/** Keeps the peers of one interface reachable until `signal` is aborted. */
export function startInterfaceLoop(deps: InterfaceLoopDeps, signal: AbortSignal): InterfaceLoop {
  const { config, clock, log } = deps;
  const wake = createWake(clock);
  const reports = createReachabilityReport({ clock, log });
  const nat = createNatWatch({
    ...{ clock, log, signal, run: deps.observeMapping },
    own: () => cycle.own,
    onDoubt() {
      for (const peer of peers) turns.due(peer, "change");
    },
  });
  const counters = deps.discoveryCounters ?? { discoveries: 0, discoveryFailures: 0 };
  let device: WireGuardDevice | undefined;
  let roundAtMs = clock.monotonic();
  const doubts = new Set<PeerState>();

  const cycle = createCycle({
    ...deps,
    discoveryCounters: counters,
    onAnswer(peer) {
      // The pings find out sooner that the tunnel works, and so that it is dead again.
      health.probeNow(peer);
      wake.wake();
    },
    onLateRecord(peer) {
      if (peer.liveness !== "alive") turns.recordChanged(peer);
    },
    ping: (peer) => health.verdict(peer),
    nat: () => natClassOf(nat.current()?.report.mapping),
    saveSequence,
    onOwnAddress: (seen) => turns.track(nat.observe(seen)),
  });
  const peers = [...cycle.peers.values()];
  const changes = createPeerChanges({ ...deps, interface: config.name, peers });
  const turns = createTurns({
    ...deps,
    cycle,
    // There has to be a regular refresh, and one more, before records vanish by themselves.
    keptMs: Math.min(...[...deps.stores.values()].map(({ expiresAfterMs = Infinity }) => expiresAfterMs)) / 2.5,
    onNews: () => wake.wake(),
    signal,
  });
  const ownSlot = createOwnSlot({ ...deps, track: turns.track, signal });
  const watch = createStoreWatch({ stores: deps.stores, log, onChange: onRecordChanged });
  const deviceLook = createDeviceLook({ ...deps, interface: config.name, peers });
  const health = startPeerHealth(
    {
      ...deps,
      peers: cycle.peers,
      onNews: () => wake.wake(),
      onSuspicion: (peer) => turns.due(peer, "suspicion"),
      onDown(peer) {
        turns.scheduleOf(peer).failing = true;
        turns.due(peer, "failure");
      },
    },
    signal,
  );

  /** A record that changed under a working tunnel says that the peer moved: see at once whether it still works. */
  function onRecordChanged(peer: PeerState): void {
    if (!turns.recordChanged(peer) || peer.liveness !== "alive") return;
    if (peer.config.ping) {
      health.probeNow(peer);
    } else {
      doubts.add(peer);
      wake.wake();
    }
  }

  /** Brings what is known up to date with a look at the device, and acts on what became different. */
  function notice({ device: seen, isNew }: Look): void {
    if (isNew) {
      turns.refreshAll();
      watch.update(seen, present(seen));
      if (deps.memory) recall(deps.memory, { device: seen, peers });
    }
    const before = new Map(peers.map((peer) => [peer, peer.liveness]));
    cycle.observe(seen, peers);
    const nowMs = clock.monotonic();
    health.looked({ device: seen, beganAtMs: roundAtMs, nowMs });
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

  function noticePeer(peer: PeerState, { before, seen, nowMs }: Noticed): void {
    if (peer.liveness === "alive") {
      turns.works(peer);
      // Also when it has just come up: an endpoint that was written at the very moment of a handshake may be wrong at the
      // other end, which WireGuard there corrects with the first packet from us.
      const isDue =
        before !== "alive" ||
        peer.doubtedAtMs !== undefined ||
        (peer.observation && isPacketDue(peer.observation, nowMs));
      if (isDue) cycle.provoke(peer, { device: seen, signal });
    } else if (before === "alive" && !turns.scheduleOf(peer).failing) {
      log.info({ peer: peer.config.name, reason: "nothing is heard from the peer" }, "tunnel is down");
      turns.due(peer, "failure");
    }
  }

  function present(seen: WireGuardDevice): readonly PeerState[] {
    return peers.filter((peer) => findPeer(seen, peer));
  }

  /** For how long the loop may sleep. */
  function nextLookMs(seen: WireGuardDevice): number {
    return Math.max(1, Math.min(lookAgainMs(peers, clock.monotonic()), turns.nextMs(present(seen))));
  }

  function surroundings() {
    return {
      clock,
      peers,
      device,
      problem: deviceLook.problem(),
      portChange: deviceLook.portChange(),
      mapping: nat.current()?.report.mapping,
      ownAddressKnown: cycle.own.current() !== undefined,
      own: cycle.own.details(),
      turns,
      health: health.health,
    };
  }

  function report(): void {
    const explain = (peer: PeerState) => explainPeer(peer, surroundings());
    changes.looked(device, explain);
    if (!device) return;
    reports.update(present(device), explain);
    ownSlot.looked(device, present(device));
  }

  async function loop(): Promise<void> {
    try {
      for (;;) {
        roundAtMs = clock.monotonic();
        turns.throwFatal();
        const look = await deviceLook.look(signal);
        device = look?.device;
        if (look) notice(look);
        report();
        if (look) turns.begin(look.device, present(look.device));
        await wake.wait(look ? nextLookMs(look.device) : DEVICE_WAIT_MS, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      watch.close();
      await turns.ended();
    }
  }

  return {
    ended: loop(),
    peers: cycle.peers,
    counters,
    refresh(occasion, names) {
      for (const peer of peers) {
        if (names && !names.includes(peer.config.name)) continue;
        turns.due(peer, occasion);
        health.probeNow(peer);
      }
    },
    resume(missedMs) {
      for (const peer of peers) passUnseen(peer, missedMs);
      // What is not too old now is not known to be dead: a clock that was set forward may look the same.
      for (const peer of peers) if (peer.liveness === "alive") doubts.add(peer);
      wake.wake();
    },
    status() {
      return interfaceStatus({ ...surroundings(), name: config.name, nat: nat.current(), counters });
    },
    roundAtMs: () => roundAtMs,
  };
}
