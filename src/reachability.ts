/** Says once when a peer becomes reachable, and once when it has not been for too long, with the likely reason. */

import { formatTransportAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { Log } from "./log.ts";
import type { PeerState } from "./peer-state.ts";

/** Four handshake attempts of WireGuard, which are 5 s apart. */
const REPORT_AFTER_MS = 20_000;

export interface ReachabilityReport {
  /** Looks at the peers as they are now; `explain` is asked for a sentence when one is reported unreachable. */
  update(peers: readonly PeerState[], explain: (peer: PeerState) => string): void;
}

export function createReachabilityReport({
  clock,
  log,
}: {
  readonly clock: Clock;
  readonly log: Log;
}): ReachabilityReport {
  const reachable = new Map<PeerState, boolean>();
  const silentSince = new Map<PeerState, number>();
  const reported = new Set<PeerState>();

  function reportAlive(peer: PeerState): void {
    silentSince.delete(peer);
    reported.delete(peer);
    if (reachable.get(peer)) return;
    reachable.set(peer, true);
    const { name } = peer.config;
    const endpoint = peer.observation?.endpoint && formatTransportAddress(peer.observation.endpoint);
    log.info({ peer: name, ...(endpoint && { endpoint }) }, "peer reachable");
  }

  function reportSilent(peer: PeerState, explain: (peer: PeerState) => string): void {
    reachable.set(peer, false);
    const since = silentSince.get(peer) ?? clock.monotonic();
    silentSince.set(peer, since);
    if (clock.monotonic() - since < REPORT_AFTER_MS || reported.has(peer)) return;
    reported.add(peer);
    log.warn({ peer: peer.config.name, hint: explain(peer) }, "peer not reachable");
  }

  return {
    update(peers, explain) {
      for (const peer of peers) {
        if (peer.liveness === "alive") reportAlive(peer);
        else reportSilent(peer, explain);
      }
    },
  };
}
