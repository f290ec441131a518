/**
 * What became different about the peers of an interface, for those who want to know: the status, readers of events, hooks
 * and the service manager. Each change is told once.
 */
import { noteState } from "./activity.ts";
import { formatTransportAddress, sameTransportAddress, type TransportAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { PeerConfig } from "./config/types.ts";
import type { StateChange } from "./events.ts";
import { findPeer, type PeerState } from "./peer-state.ts";
import type { PeerStateName } from "./status.ts";
import type { WireGuardDevice } from "./wg/types.ts";

export interface PeerChange {
  /** `up`: the tunnel works, `down`: no longer, `endpoint`: WireGuard sends the peer's packets to another place. */
  readonly event: "up" | "down" | "endpoint";
  readonly peer: PeerConfig;
  /** The endpoint WireGuard has now, and for `endpoint` the one it had before. */
  readonly endpoint?: string | undefined;
  readonly previous?: string | undefined;
  /** For a person. */
  readonly reason: string;
}

export interface PeerChanges {
  /** To be called after each look at the device; `explain` says why a peer is not reachable. */
  looked(device: WireGuardDevice | undefined, explain: (peer: PeerState) => string): void;
}

export function createPeerChanges(options: {
  readonly interface: string;
  readonly peers: readonly PeerState[];
  readonly clock: Clock;
  /** Told when a peer becomes something else. */
  readonly onState?: ((change: StateChange) => void) | undefined;
  /** Told when a tunnel comes up or goes down, or a peer's endpoint moves. */
  readonly onPeerChange?: ((change: PeerChange) => void) | undefined;
}): PeerChanges {
  const { peers, clock, onState, onPeerChange } = options;
  /** As they were at the last look; what a peer had at the first one is no change. */
  const endpoints = new Map<PeerState, TransportAddress | undefined>();

  function tell(peer: PeerState, change: Omit<PeerChange, "peer" | "endpoint">): void {
    onPeerChange?.({ ...change, peer: peer.config, endpoint: endpointOf(peer) });
  }

  function tellEndpoint(peer: PeerState): void {
    const endpoint = peer.observation?.endpoint;
    const before = endpoints.get(peer);
    const isKnown = endpoints.has(peer);
    endpoints.set(peer, endpoint);
    if (!isKnown || !endpoint || sameTransportAddress(endpoint, before)) return;
    const isOurs = sameTransportAddress(endpoint, peer.trial?.endpoint);
    const reason = isOurs ? "it was set to where the peer should be" : "the peer was heard from there";
    tell(peer, { event: "endpoint", previous: before && formatTransportAddress(before), reason });
  }

  return {
    looked(device, explain) {
      const nowMs = clock.monotonic();
      for (const peer of peers) {
        if (device && findPeer(device, peer)) tellEndpoint(peer);
        const state = stateOf(peer, device);
        const previous = noteState(peer.activity, { name: state, nowMs });
        if (previous === undefined || previous === state) continue;
        const endpoint = endpointOf(peer);
        const { name } = peer.config;
        onState?.({ interface: options.interface, peer: name, state, previous, ...(endpoint && { endpoint }) });
        if (state === "reachable") tell(peer, { event: "up", reason: "the tunnel works" });
        else if (previous === "reachable") tell(peer, { event: "down", reason: explain(peer) });
      }
    },
  };
}

/** What a peer is, by the last look at its device. */
function stateOf(peer: PeerState, device: WireGuardDevice | undefined): PeerStateName {
  if (!device) return "waiting";
  if (!findPeer(device, peer)) return "missing";
  return peer.liveness === "alive" ? "reachable" : peer.liveness === "receiving" ? "receiving" : "unreachable";
}

function endpointOf({ observation }: PeerState): string | undefined {
  return observation?.endpoint && formatTransportAddress(observation.endpoint);
}
