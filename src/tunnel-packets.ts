/**
 * Sends the packets that make WireGuard send to the peers of one interface, and believes an answer only if WireGuard has
 * received something meanwhile: what answers else is this host, or somebody on another way.
 */
import { ownerOf } from "./allowed-ips.ts";
import type { Clock } from "./clock.ts";
import { describeError, isAbort } from "./errors.ts";
import type { Log } from "./log.ts";
import { round } from "./own-address.ts";
import type { PeerState } from "./peer-state.ts";
import { type Provoker, provokeAny } from "./provoke.ts";
import { type HostAddresses, type ProvokeTarget, selectProvokeTargets } from "./provoke-target.ts";
import type { WireGuardDevice, WireGuardPeer } from "./wg/types.ts";

/** A look at the device this long after an answer began after it, and counts it. */
const ANSWER_COUNTED_MS = 1_000;

export interface TunnelPackets {
  /** Sends one packet to the peer; resolves when it was answered or given up, and never rejects. */
  send(
    peer: PeerState,
    options: { readonly device: WireGuardDevice; readonly reading: WireGuardPeer; readonly signal: AbortSignal },
  ): Promise<void>;
  /** Judges the last answer by a look at the device. */
  judge(peer: PeerState, reading: WireGuardPeer): void;
}

export function createTunnelPackets(deps: {
  readonly provoker: Provoker;
  /** The addresses this host has now. */
  hostAddresses(): HostAddresses;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when a packet was answered: the next look says whether through the tunnel. */
  onAnswer(peer: PeerState): void;
}): TunnelPackets {
  const { provoker, clock, log } = deps;

  function targetsOf(
    { config, foreignTarget }: PeerState,
    { device, reading }: { readonly device: WireGuardDevice; readonly reading: WireGuardPeer },
  ): readonly ProvokeTarget[] {
    const targets = selectProvokeTargets({
      pingTarget: config.ping?.target,
      allowedIps: reading.allowedIps,
      isPeers: (ip) => ownerOf(device, ip) === reading,
      addresses: deps.hostAddresses(),
    });
    const others = targets.filter(({ target }) => target !== foreignTarget);
    return others.length > 0 ? others : targets;
  }

  return {
    async send(peer, { device, reading, signal }) {
      const { name } = peer.config;
      const targets = targetsOf(peer, { device, reading });
      if (targets.length === 0) {
        const isOwn = reading.allowedIps.length > 0;
        const reason = isOwn ? "its allowed IPs have only addresses of this host" : "the peer has no allowed IPs";
        log.debug({ peer: name, reason }, "no packet sent through the tunnel");
        return;
      }
      const { receivedBytes } = reading;
      try {
        const { target, rttMs } = await provokeAny(provoker, { targets, signal });
        if (rttMs === undefined) {
          log.debug({ peer: name, endpoint: target }, "no answer through the tunnel");
          return;
        }
        peer.answer = { target, rttMs, receivedBytes, atMs: clock.monotonic() };
        deps.onAnswer(peer);
      } catch (error) {
        if (!isAbort(error)) log.debug({ peer: name, err: describeError(error) }, "no packet sent through the tunnel");
      }
    },
    judge(peer, { receivedBytes }) {
      const { answer } = peer;
      if (!answer) return;
      const isThrough = receivedBytes > answer.receivedBytes;
      if (!isThrough && clock.monotonic() - answer.atMs < ANSWER_COUNTED_MS) return;
      delete peer.answer;
      if (isThrough) delete peer.foreignTarget;
      else peer.foreignTarget = answer.target;
      log.debug(
        { peer: peer.config.name, endpoint: answer.target, ms: round(answer.rttMs) },
        isThrough ? "answer through the tunnel" : "answer, but not through the tunnel",
      );
    },
  };
}
