/** The health monitor as the loop of an interface sees it: verdicts by peer, and what a lost ping means for the peer. */
import { formatIp, parseIp } from "./address.ts";
import { ownerOf } from "./allowed-ips.ts";
import type { Clock } from "./clock.ts";
import { isInSession } from "./convergence.ts";
import { createFailureLog } from "./failures.ts";
import { startHealthMonitor } from "./health/monitor.ts";
import { createPingTarget, type ResolveTarget } from "./health/target.ts";
import { type Health, lossOf } from "./health/verdict.ts";
import type { Log } from "./log.ts";
import { findPeer, type PeerState } from "./peer-state.ts";
import type { Provoker } from "./provoke.ts";
import type { HostAddresses } from "./provoke-target.ts";
import { createSuspicions } from "./suspicion.ts";
import type { WireGuardDevice } from "./wg/types.ts";

export interface PeerHealth {
  /** What the pings to a peer say; undefined when it is not pinged, or not now. */
  health(peer: PeerState): Health | undefined;
  /** The verdict of the pings to a peer; undefined when there is none. */
  verdict(peer: PeerState): "answered" | "missed" | undefined;
  /** Pings a peer at once, not at its next interval. */
  probeNow(peer: PeerState): void;
  /** To be called after each look at the device: bytes that are seen later came after the lost pings. */
  looked(look: HealthLook): void;
}

export interface HealthLook {
  readonly device: WireGuardDevice;
  /** Monotonic clock: when the look began, and now. */
  readonly beganAtMs: number;
  readonly nowMs: number;
}

export function startPeerHealth(
  options: {
    readonly peers: ReadonlyMap<string, PeerState>;
    readonly provoker: Provoker;
    readonly resolveTarget: ResolveTarget;
    hostAddresses(): HostAddresses;
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
  const suspicions = createSuspicions(clock);
  const suspects = new Set<PeerState>();
  const failures = createFailureLog(log);
  /** The last answer to a ping of each peer. */
  const answers = new Map<PeerState, { readonly askedAtMs: number; readonly atMs: number }>();
  /** Peers whose pings are answered while WireGuard receives nothing: no proof of a tunnel. */
  const disbelieved = new Set<PeerState>();
  let lastLook: HealthLook | undefined;

  function isProbeable(name: string): boolean {
    const observation = peers.get(name)?.observation;
    return observation?.endpoint !== undefined && isInSession(observation, clock.monotonic());
  }

  /** What the ping of an address that is not behind the tunnel says has nothing to do with the tunnel. */
  function isTarget(name: string, target: string): boolean {
    const peer = peers.get(name);
    const reason = peer && whyNoTarget(peer, target);
    if (reason === undefined) {
      failures.ended(name, { message: "ping target can be pinged", fields: { peer: name } });
      return true;
    }
    failures.failed(name, new Error(`${target} ${reason}`), {
      message: "ping target is not pinged",
      fields: { peer: name, hint: "ping an address of the peer, or correct AllowedIPs" },
    });
    return false;
  }

  function whyNoTarget(peer: PeerState, target: string): string | undefined {
    const ip = parseIp(target);
    if (ip && options.hostAddresses().all.includes(formatIp(ip))) return "is an address of this host";
    const reading = lastLook && findPeer(lastLook.device, peer);
    if (!ip || !lastLook || !reading) return undefined;
    const owner = ownerOf(lastLook.device, ip);
    if (owner === reading) return undefined;
    return owner ? "belongs to the allowed IPs of another peer" : "is in no peer's allowed IPs";
  }

  /** Between the ends of two looks a whole ping was answered: then WireGuard has received something, or it was another way. */
  function judgeAnswers(look: HealthLook): void {
    for (const [peer, { askedAtMs, atMs }] of answers) {
      const before = lastLook && findPeer(lastLook.device, peer);
      const reading = findPeer(look.device, peer);
      if (!lastLook || !before || !reading || askedAtMs < lastLook.nowMs || atMs > look.beganAtMs) continue;
      answers.delete(peer);
      if (reading.receivedBytes !== before.receivedBytes) {
        disbelieved.delete(peer);
      } else if (!disbelieved.has(peer)) {
        disbelieved.add(peer);
        const reason = "WireGuard received nothing meanwhile";
        log.warn({ peer: peer.config.name, reason }, "ping is answered, but not through the tunnel");
      }
    }
  }

  const monitor = startHealthMonitor(
    {
      targets: [...peers.values()].flatMap((peer) => createPingTarget(peer.config, options) ?? []),
      clock,
      log,
      ping: provoker.provoke,
      isProbeable,
      isTarget,
      onAnswer(name, askedAtMs) {
        const peer = peers.get(name);
        if (peer) answers.set(peer, { askedAtMs, atMs: clock.monotonic() });
      },
      onMiss(name) {
        const peer = peers.get(name);
        if (peer) suspects.add(peer);
        if (peer && suspicions.suspect(peer)) onSuspicion(peer);
        onNews();
      },
      onVerdict(name, health) {
        const peer = peers.get(name);
        if (peer && health.verdict === "down") {
          suspicions.confirm(peer);
          const loss = `${Math.round(100 * lossOf(health))} % of the last ${health.results.length} pings were lost`;
          log.info({ peer: name, reason: `ping is not answered; ${loss}` }, "tunnel is down");
          onDown(peer);
        }
        onNews();
      },
    },
    signal,
  );
  return {
    verdict(peer) {
      const { config } = peer;
      if (disbelieved.has(peer)) return undefined;
      const verdict = monitor.health(config.name)?.verdict;
      // An answer from before the session was lost, as when WireGuard is restarted, says nothing any more.
      if (verdict === "up" && isProbeable(config.name)) return "answered";
      return verdict === "down" ? "missed" : undefined;
    },
    health: ({ config }) => monitor.health(config.name),
    probeNow: ({ config }) => monitor.probeNow(config.name),
    looked(look) {
      for (const peer of suspects) peer.suspectedAtMs = look.nowMs;
      suspects.clear();
      judgeAnswers(look);
      lastLook = look;
    },
  };
}
