/**
 * How many changes of a peer's record, or notices of a store that there is one, are acted on at once. A peer that moves a few times within a minute is followed at once
 * each time; one whose record changes at every look, which brings no tunnel, is looked at as seldom as one that is away.
 */
import type { Clock } from "./clock.ts";
import type { PeerState } from "./peer-state.ts";

const AT_ONCE = 8;
const ONE_MORE_AFTER_MS = 300_000;

export interface ChangeBudget {
  /** True when a change is to be acted on at once. */
  take(peer: PeerState): boolean;
  /** The tunnel works: the peer really was where it said. */
  restore(peer: PeerState): void;
}

/** @default oneMoreAfterMs 5 min: after each such time one more. */
export function createChangeBudget(
  clock: Clock,
  { oneMoreAfterMs = ONE_MORE_AFTER_MS }: { readonly oneMoreAfterMs?: number } = {},
): ChangeBudget {
  const spent = new Map<PeerState, { readonly count: number; readonly atMs: number }>();

  /** What of it has not come back yet. */
  function countOf(peer: PeerState): number {
    const known = spent.get(peer);
    if (!known) return 0;
    return Math.max(0, known.count - Math.floor((clock.monotonic() - known.atMs) / oneMoreAfterMs));
  }

  return {
    take(peer) {
      const count = countOf(peer);
      if (count >= AT_ONCE) return false;
      spent.set(peer, { count: count + 1, atMs: clock.monotonic() });
      return true;
    },
    restore: (peer) => void spent.delete(peer),
  };
}
