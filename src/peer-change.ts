/**
 * What became different about a peer, for those outside who want to know: hooks and the service manager. Each change is
 * told once.
 */
import { formatTransportAddress, sameTransportAddress, type TransportAddress } from "./address.ts";
import type { PeerConfig } from "./config/types.ts";
import type { PeerState } from "./peer-state.ts";

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
  /**
   * To be called after each look at the device with the peers that are on it, undefined when there is no device; `explain`
   * says why a peer is not reachable.
   */
  looked(present: readonly PeerState[] | undefined, explain: (peer: PeerState) => string): void;
}

export function createPeerChanges(onChange: (change: PeerChange) => void): PeerChanges {
  const up = new Set<PeerState>();
  /** As they were at the last look; what a peer had at the first one is no change. */
  const endpoints = new Map<PeerState, TransportAddress | undefined>();

  function tell(peer: PeerState, change: Omit<PeerChange, "peer" | "endpoint">): void {
    const endpoint = peer.observation?.endpoint && formatTransportAddress(peer.observation.endpoint);
    onChange({ ...change, peer: peer.config, endpoint });
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
    looked(present = [], explain) {
      const there = new Set(present);
      for (const peer of present) {
        tellEndpoint(peer);
        if (peer.liveness === "alive" && !up.has(peer)) {
          up.add(peer);
          tell(peer, { event: "up", reason: "the tunnel works" });
        }
      }
      for (const peer of up) {
        const isThere = there.has(peer);
        if (isThere && peer.liveness === "alive") continue;
        up.delete(peer);
        tell(peer, {
          event: "down",
          reason: isThere ? explain(peer) : "it is not on the device, or there is no device",
        });
      }
    },
  };
}
