/**
 * The turns of the peers of one interface: when each peer's next one is, and taking it. Turns of different peers overlap; a
 * peer has one at a time.
 */
import { createChangeBudget } from "./change-budget.ts";
import type { Clock } from "./clock.ts";
import { trialEndMs } from "./convergence.ts";
import type { Cycle, PeerOutcome } from "./cycle.ts";
import { errorCode, isAbort, isFatal } from "./errors.ts";
import type { PeerState } from "./peer-state.ts";
import type { Occasion } from "./publishing.ts";
import { begin, createSchedule, finish, hasten, type Schedule, trigger } from "./schedule.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** While a peer is not reachable the own address is discovered this often. That also keeps the published NAT mapping alive: NATs forget one after 30 s at the earliest (RFC 4787 asks for 2 min). */
const DISCOVERY_MAX_AGE_MS = 20_000;
/** The same in the first looks at the store after a tunnel was found dead: what broke it may do it again before the peer was heard. */
const EARLY_DISCOVERY_MAX_AGE_MS = 3_000;
const EARLY_LOOKS = 5;
/** While a store cannot be reached, nobody finds us there: it is tried more often than a peer is looked for. Stores are left alone after failures by a rule of their own, so that this costs little. */
const STORE_RETRY_MAX_MS = 5_000;
/** A store that tells of changes again and again is believed this often in the long run: as often as a peer is looked for. */
const NOTICE_GAP_MS = 10_000;
/** Triggers for many peers come within milliseconds; they share one discovery. */
const DISCOVERY_SHARE_MS = 1_000;

export interface Turns {
  scheduleOf(peer: PeerState): Schedule;
  /** Makes the peer due now. */
  due(peer: PeerState, occasion: Occasion): void;
  /**
   * A store says that the peer's record changed: true when that is to be acted on, and makes a peer that is not reachable
   * due now. Whoever may write to the store can have it say so without end.
   */
  recordChanged(peer: PeerState): boolean;
  /** The peer's tunnel works: what it publishes is followed at once again. */
  works(peer: PeerState): void;
  /** Makes the regular refresh of every peer due now. */
  refreshAll(): void;
  /** Begins the turns that are due, of these peers of the device. */
  begin(device: WireGuardDevice, peers: readonly PeerState[]): void;
  /** How long until the next of these peers is due; Infinity when none is. */
  nextMs(peers: readonly PeerState[]): number;
  /** When the peer's next turn is, and what for; undefined while it has one. */
  planned(peer: PeerState): { readonly atMs: number; readonly occasion: Occasion } | undefined;
  /** Throws the error of a turn that waiting cannot help, if there was one. */
  throwFatal(): void;
  /** Has ended() wait for `work`, which never rejects. */
  track(work: Promise<void>): void;
  /** Resolves when no turn is under way. */
  ended(): Promise<void>;
}

export interface TurnsOptions {
  readonly cycle: Pick<Cycle, "peers" | "refreshPeer">;
  readonly clock: Clock;
  readonly refreshIntervalMs: number;
  /** Records vanish from a store after this time: they have to be refreshed before. */
  readonly keptMs: number;
  readonly pollIntervalMaxMs: number;
  /** Quick looks at the store after a health check found a tunnel dead. */
  readonly fixedRetries: number;
  /** 0..1 */
  random(): number;
  /** Something is due, or a turn has ended. */
  onNews(): void;
  readonly signal: AbortSignal;
}

export function createTurns(options: TurnsOptions): Turns {
  const { cycle, clock, random, refreshIntervalMs, pollIntervalMaxMs, fixedRetries, onNews, signal } = options;
  const schedules = new Map([...cycle.peers.keys()].map((name) => [name, createSchedule()]));
  const underWay = new Set<Promise<void>>();
  const changes = createChangeBudget(clock);
  const notices = createChangeBudget(clock, { oneMoreAfterMs: NOTICE_GAP_MS });
  /** Peers whose last turn had a failure in it. */
  const troubled = new Set<PeerState>();
  let refreshAtMs = clock.monotonic();
  let fatal: unknown;

  function scheduleOf(peer: PeerState): Schedule {
    const schedule = schedules.get(peer.config.name);
    if (!schedule) throw new RangeError(`Cannot schedule a peer that is not configured: "${peer.config.name}"`);
    return schedule;
  }

  function track(work: Promise<void>): void {
    underWay.add(work);
    void work.finally(() => underWay.delete(work));
  }

  async function takeTurn(
    peer: PeerState,
    { schedule, device }: { readonly schedule: Schedule; readonly device: WireGuardDevice },
  ): Promise<void> {
    const occasion = begin(schedule, clock.monotonic());
    const isEarly = schedule.failing && schedule.attempt < EARLY_LOOKS;
    const pollAgeMs = isEarly ? EARLY_DISCOVERY_MAX_AGE_MS : DISCOVERY_MAX_AGE_MS;
    const maxDiscoveryAgeMs = occasion === "poll" ? pollAgeMs : DISCOVERY_SHARE_MS;
    let again = true;
    let maxMs = Math.min(pollIntervalMaxMs, refreshIntervalMs);
    try {
      const outcome = await cycle.refreshPeer(peer, { device, occasion, maxDiscoveryAgeMs, signal });
      if (isFatal(outcome.error)) fatal = outcome.error;
      const failed = hasFailed(outcome);
      // After a failure the peer may need a moment to publish, too, and is then to be found soon.
      const isNews = outcome.fetched === "changed" && changes.take(peer);
      if (isNews || (troubled.has(peer) && !failed)) schedule.attempt = 0;
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
    onNews();
  }

  function due(peer: PeerState, occasion: Occasion): void {
    trigger(scheduleOf(peer), { nowMs: clock.monotonic(), occasion });
    onNews();
  }

  return {
    scheduleOf,
    due,
    recordChanged(peer) {
      if (!notices.take(peer)) return false;
      if (peer.liveness === "alive") return true;
      // Whether the next looks are close together again is decided by what is found.
      hasten(scheduleOf(peer), clock.monotonic());
      onNews();
      return true;
    },
    works(peer) {
      scheduleOf(peer).failing = false;
      changes.restore(peer);
    },
    refreshAll() {
      refreshAtMs = clock.monotonic();
    },
    begin(device, peers) {
      const nowMs = clock.monotonic();
      if (nowMs >= refreshAtMs) {
        for (const peer of peers) trigger(scheduleOf(peer), { nowMs, occasion: "interval" });
        refreshAtMs = nowMs + Math.min(refreshIntervalMs, options.keptMs) * (0.9 + 0.2 * random());
      }
      for (const peer of peers) {
        const schedule = scheduleOf(peer);
        if (!schedule.busy && schedule.dueAtMs <= nowMs) track(takeTurn(peer, { schedule, device }));
      }
    },
    nextMs(peers) {
      const dues = peers.map(scheduleOf).flatMap(({ busy, dueAtMs }) => (busy ? [] : [dueAtMs]));
      return Math.min(refreshAtMs, ...dues) - clock.monotonic();
    },
    planned(peer) {
      const { busy, dueAtMs, occasion } = scheduleOf(peer);
      if (busy) return undefined;
      return dueAtMs < refreshAtMs ? { atMs: dueAtMs, occasion } : { atMs: refreshAtMs, occasion: "interval" };
    },
    throwFatal() {
      if (fatal !== undefined) throw fatal;
    },
    track,
    async ended() {
      await Promise.allSettled(underWay);
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
