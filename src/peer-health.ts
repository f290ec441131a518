/** The health monitor as the loop of an interface sees it: verdicts by peer, and what a lost ping means for the peer. */
import type { Clock } from "./clock.ts";
import { isInSession } from "./convergence.ts";
import { startHealthMonitor } from "./health/monitor.ts";
import { createPingTarget, type ResolveTarget } from "./health/target.ts";
import { type Health, lossOf } from "./health/verdict.ts";
import type { Log } from "./log.ts";
import type { PeerState } from "./peer-state.ts";
import type { Provoker } from "./provoke.ts";

/** After a lost ping brought a look at the store, the next one does no sooner. */
const SUSPICION_GAP_MS = 5_000;
const SUSPICION_GAP_MAX_MS = 600_000;

/** When a lost ping was acted on, and for how long no other is. */
interface Suspicion {
  readonly atMs: number;
  readonly gapMs: number;
}

export interface PeerHealth {
  /** What the pings to a peer say; undefined when it is not pinged, or not now. */
  health(peer: PeerState): Health | undefined;
  /** The verdict of the pings to a peer; undefined when there is none. */
  verdict(peer: PeerState): "answered" | "missed" | undefined;
  /** Pings a peer at once, not at its next interval. */
  probeNow(peer: PeerState): void;
  /** To be called with the time after each look at the device: bytes that are seen later came after the lost pings. */
  looked(monotonicMs: number): void;
}

export function startPeerHealth(
  options: {
    readonly peers: ReadonlyMap<string, PeerState>;
    readonly provoker: Provoker;
    readonly resolveTarget: ResolveTarget;
    readonly clock: Clock;
    readonly log: Log;
    /** A look at the device is wanted: a ping was lost, or a verdict changed. */
    onNews(): void;
    /** A ping to a peer was lost, for the first time in a while. */
    onSuspicion(peer: PeerState): void;
    /** The pings to a peer found its tunnel dead. */
    onDown(peer: PeerState): void;
  },
  signal: AbortSignal,
): PeerHealth {
  const { peers, provoker, clock, log, onNews, onSuspicion, onDown } = options;
  const suspicions = new Map<PeerState, Suspicion>();
  const suspects = new Set<PeerState>();

  function isProbeable(name: string): boolean {
    const observation = peers.get(name)?.observation;
    return observation?.endpoint !== undefined && isInSession(observation, clock.monotonic());
  }

  /** Each one that was false doubles the pause to the next: a path that loses packets is no news. */
  function suspect(peer: PeerState): void {
    const nowMs = clock.monotonic();
    const before = suspicions.get(peer);
    if (before && nowMs - before.atMs < before.gapMs) return;
    const gapMs = before ? Math.min(SUSPICION_GAP_MAX_MS, 2 * before.gapMs) : SUSPICION_GAP_MS;
    suspicions.set(peer, { gapMs, atMs: nowMs });
    onSuspicion(peer);
  }

  const monitor = startHealthMonitor(
    {
      targets: [...peers.values()].flatMap((peer) => createPingTarget(peer.config, options) ?? []),
      clock,
      log,
      ping: provoker.provoke,
      isProbeable,
      onMiss(name) {
        const peer = peers.get(name);
        if (peer) {
          suspects.add(peer);
          suspect(peer);
        }
        onNews();
      },
      onVerdict(name, health) {
        const peer = peers.get(name);
        if (peer && health.verdict === "down") {
          const loss = `${Math.round(100 * lossOf(health))} % of the last ${health.results.length} pings were lost`;
          suspicions.set(peer, { gapMs: SUSPICION_GAP_MS, atMs: clock.monotonic() });
          log.info({ peer: name, reason: `ping is not answered; ${loss}` }, "tunnel is down");
          onDown(peer);
        }
        onNews();
      },
    },
    signal,
  );
  return {
    verdict({ config }) {
      const verdict = monitor.health(config.name)?.verdict;
      // An answer from before the session was lost, as when WireGuard is restarted, says nothing any more.
      if (verdict === "up" && isProbeable(config.name)) return "answered";
      return verdict === "down" ? "missed" : undefined;
    },
    health: ({ config }) => monitor.health(config.name),
    probeNow: ({ config }) => monitor.probeNow(config.name),
    looked(monotonicMs) {
      for (const peer of suspects) peer.suspectedAtMs = monotonicMs;
      suspects.clear();
    },
  };
}
