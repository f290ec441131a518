/** How often a lost ping may have this side look at the store: each suspicion that was false doubles the pause to the next. */
import type { Clock } from "./clock.ts";
import type { PeerState } from "./peer-state.ts";

const FIRST_GAP_MS = 5_000;
const LONGEST_GAP_MS = 600_000;

export interface Suspicions {
  /** A ping to the peer was lost; true when that is to be acted on. A path that loses packets is no news. */
  suspect(peer: PeerState): boolean;
  /** The suspicion was right: the next one counts soon again. */
  confirm(peer: PeerState): void;
}

export function createSuspicions(clock: Clock): Suspicions {
  const last = new Map<PeerState, { readonly atMs: number; readonly gapMs: number }>();
  return {
    suspect(peer) {
      const atMs = clock.monotonic();
      const before = last.get(peer);
      if (before && atMs - before.atMs < before.gapMs) return false;
      last.set(peer, { atMs, gapMs: before ? Math.min(LONGEST_GAP_MS, 2 * before.gapMs) : FIRST_GAP_MS });
      return true;
    },
    confirm(peer) {
      last.set(peer, { atMs: clock.monotonic(), gapMs: FIRST_GAP_MS });
    },
  };
}
