/**
 * Getting a peer reachable: pure policy. What is known about a peer and the time go in, what to do comes out.
 *
 * The first rule is never to touch a tunnel that works: WireGuard follows a peer that moves by itself, and an endpoint
 * from a store is at best as good as the address its packets really come from.
 */
import {
  type EndpointRecord,
  type PeerProtocol,
  sameTransportAddress,
  selectEndpoints,
  type TransportAddress,
} from "./address.ts";

/** WireGuard drops a session this long after its handshake (REJECT_AFTER_TIME of the protocol). */
export const SESSION_LIFETIME_MS = 180_000;
/** A session this old gets a packet if nobody else sends one: WireGuard then makes a new handshake (it does after 120 s). */
const SESSION_AGING_MS = 150_000;
/** With keepalive a peer is heard from every 25 s or so. After this long without, it gets a packet, which WireGuard at the other end answers within 10 s, if only with a keepalive. */
const QUIET_MS = 35_000;
/** Nothing was heard for so long although packets were sent: the tunnel is dead, whatever the session's age. */
const DEAD_MS = 60_000;
/** The same for a tunnel there is a reason to doubt: the peer published another address. */
const DOUBT_MS = 12_000;
/** Bytes from a peer within this time mean WireGuard just heard from it: its handshakes are 5 s apart. */
const RECEIVING_MS = 15_000;
/** So long nothing was heard, while three pings were lost: what was heard before says where the peer was. */
const QUIET_FOR_NEWS_MS = 2_000;
/** A candidate that brought no handshake in this time gives way to the other family. Three handshake attempts of WireGuard. */
export const CANDIDATE_TRIAL_MS = 15_000;
const FIRST_POLL_MS = 1_000;
const FIXED_RETRY_MS = 2_000;

/** What a look at the device says about one peer. */
export interface PeerReading {
  /** Wall clock, milliseconds since 1970. */
  readonly latestHandshakeMs?: number;
  readonly receivedBytes: number;
  readonly endpoint?: TransportAddress;
  /** Seconds; 0 = off. */
  readonly persistentKeepalive: number;
}

/**
 * True when a record that was found at `newsAtMs` says more about where the peer is than the packets that came from it:
 * who publishes again has moved, or finds its tunnel dead. Asked only about a tunnel that does not work; one that carries
 * packets is not taken for dead because a ping target is (docs/decisions/0014-one-initiator.md).
 */
export function isNews(newsAtMs: number | undefined, observation: Observation | undefined): boolean {
  if (newsAtMs === undefined) return false;
  if (observation?.receivedAtMs === undefined) return true;
  return observation.receivedAtMs <= newsAtMs && observation.seenAtMs - observation.receivedAtMs >= QUIET_FOR_NEWS_MS;
}

/** What several looks at the device say about one peer. Times are of the monotonic clock, in milliseconds. */
export interface Observation {
  readonly latestHandshakeMs?: number | undefined;
  readonly receivedBytes: number;
  /** Where WireGuard sends this peer's packets. */
  readonly endpoint?: TransportAddress | undefined;
  /** When the handshake took place, as far as we can tell; undefined when there was none. */
  readonly handshakeAtMs?: number | undefined;
  /** When received bytes were last seen growing. */
  readonly receivedAtMs?: number | undefined;
  /** When this look was. */
  readonly seenAtMs: number;
  /** Since when received bytes have not been growing: the first look, if they never were. */
  readonly quietSinceMs: number;
  readonly hasKeepalive: boolean;
}

/**
 * Adds a look at the device to what is known. The age of the first handshake seen is taken from the wall clock; later
 * ones count from when they were noticed, so that a clock that jumps neither kills nor revives a tunnel.
 */
export function observePeer(
  before: Observation | undefined,
  reading: PeerReading,
  time: { readonly nowMs: number; readonly monotonicMs: number },
): Observation {
  const { latestHandshakeMs, receivedBytes } = reading;
  const grew = before !== undefined && receivedBytes > before.receivedBytes;
  return {
    latestHandshakeMs,
    receivedBytes,
    endpoint: reading.endpoint,
    handshakeAtMs: handshakeAt(before, latestHandshakeMs, time),
    receivedAtMs: grew ? time.monotonicMs : before?.receivedAtMs,
    seenAtMs: time.monotonicMs,
    quietSinceMs: grew || before === undefined ? time.monotonicMs : before.quietSinceMs,
    hasKeepalive: reading.persistentKeepalive > 0,
  };
}

function handshakeAt(
  before: Observation | undefined,
  latestHandshakeMs: number | undefined,
  { nowMs, monotonicMs }: { readonly nowMs: number; readonly monotonicMs: number },
): number | undefined {
  if (latestHandshakeMs === undefined) return undefined;
  if (before === undefined) return monotonicMs - Math.max(0, nowMs - latestHandshakeMs);
  return latestHandshakeMs === before.latestHandshakeMs ? before.handshakeAtMs : monotonicMs;
}

/**
 * alive      the tunnel works
 * receiving  no session, but WireGuard hears from the peer, and so knows where it is better than any record does
 * silent     nothing is heard
 */
export type Liveness = "alive" | "receiving" | "silent";

/** There is a session: its handshake is younger than WireGuard lets one become. */
export function isInSession({ handshakeAtMs }: Observation, monotonicMs: number): boolean {
  return handshakeAtMs !== undefined && monotonicMs - handshakeAtMs < SESSION_LIFETIME_MS;
}

/**
 * `ping` is the verdict of a health check through the tunnel, when there is one; it outweighs the handshake's age.
 * `suspectedAtMs` is when its first lost probe was noticed and the device looked at: bytes that came later mean that only
 * our packets, or the answers of the ping target, get lost. `doubtedAtMs` is since when a tunnel without pings is doubted
 * and nothing was heard through it.
 */
export function judgeLiveness(
  observation: Observation,
  options: {
    readonly monotonicMs: number;
    readonly ping?: "answered" | "missed" | undefined;
    readonly suspectedAtMs?: number | undefined;
    readonly doubtedAtMs?: number | undefined;
  },
): Liveness {
  const { monotonicMs, ping, suspectedAtMs, doubtedAtMs } = options;
  const { receivedAtMs } = observation;
  if (ping === "answered") return "alive";
  if (ping === "missed") {
    const heard = receivedAtMs !== undefined && suspectedAtMs !== undefined && receivedAtMs > suspectedAtMs;
    return heard && monotonicMs - receivedAtMs < RECEIVING_MS ? "receiving" : "silent";
  }
  if (isInSession(observation, monotonicMs)) {
    const refuted = doubtedAtMs !== undefined && monotonicMs - doubtedAtMs >= DOUBT_MS;
    return quietMs(observation, monotonicMs) < DEAD_MS && !refuted ? "alive" : "silent";
  }
  return receivedAtMs !== undefined && monotonicMs - receivedAtMs < RECEIVING_MS ? "receiving" : "silent";
}

/** How long nothing was heard although something should have been; 0 when nothing is to be expected, without keepalive. */
function quietMs({ hasKeepalive, quietSinceMs, handshakeAtMs }: Observation, monotonicMs: number): number {
  return hasKeepalive ? monotonicMs - Math.max(quietSinceMs, handshakeAtMs ?? quietSinceMs) : 0;
}

/**
 * True when a tunnel that counts as alive should get a packet from us: its session will end soon, or the peer has been
 * quiet for longer than its keepalive allows. An idle tunnel is then not taken for a dead one, and a dead one is noticed.
 */
export function isPacketDue(observation: Observation, monotonicMs: number): boolean {
  const { handshakeAtMs } = observation;
  const aging = handshakeAtMs !== undefined && monotonicMs - handshakeAtMs >= SESSION_AGING_MS;
  return aging || quietMs(observation, monotonicMs) >= QUIET_MS;
}

/** The endpoint that is being tried, and since when (monotonic clock). */
export interface Trial {
  readonly endpoint: TransportAddress;
  readonly sinceMs: number;
}

/** When the endpoint that is tried has to give way to another candidate of the record; Infinity when there is none. */
export function trialEndMs(
  {
    record,
    trial,
    config,
  }: {
    readonly record?: { readonly endpoints: EndpointRecord };
    readonly trial?: Trial;
    readonly config: { readonly protocol: PeerProtocol };
  },
  monotonicMs: number,
): number {
  const alternatives = selectEndpoints(record?.endpoints ?? {}, config.protocol).length;
  const endMs = trial && alternatives > 1 ? trial.sinceMs + CANDIDATE_TRIAL_MS : Number.POSITIVE_INFINITY;
  return endMs > monotonicMs ? endMs : Number.POSITIVE_INFINITY;
}

export type Decision =
  /** The tunnel works, or WireGuard hears the peer: write nothing. */
  | { readonly action: "leave" }
  /** Write this endpoint, then send a packet through the tunnel. */
  | { readonly action: "set"; readonly endpoint: TransportAddress }
  /** The endpoint is what we would write: send a packet through the tunnel, so that WireGuard tries again. */
  | { readonly action: "send" }
  /** Nothing is known about where the peer is. */
  | { readonly action: "wait" };

/** Decides what to do about one peer. `record` is the newest accepted record, `current` WireGuard's endpoint. */
export function decide(situation: {
  readonly liveness: Liveness;
  readonly record: EndpointRecord | undefined;
  /** Own addresses: a family this host has none of comes last. */
  readonly own?: EndpointRecord | undefined;
  /** The peer published after it was last heard: it moved since. */
  readonly isRecordNews?: boolean | undefined;
  /** One more candidate, from before a restart. */
  readonly fallback?: TransportAddress | undefined;
  readonly protocol: PeerProtocol;
  readonly current: TransportAddress | undefined;
  readonly trial: Trial | undefined;
  readonly monotonicMs: number;
}): Decision {
  const { liveness, record, own, isRecordNews, fallback, protocol, current, trial, monotonicMs } = situation;
  if (liveness === "alive") return { action: "leave" };
  const preferred = selectEndpoints(record ?? {}, protocol);
  const selected = own ? preferred.toSorted((a, b) => Number(!own[a.family]) - Number(!own[b.family])) : preferred;
  const allowed = fallback && selectEndpoints({ [fallback.family]: fallback }, protocol).length > 0;
  const isNew = allowed && !selected.some((candidate) => sameTransportAddress(candidate, fallback));
  const candidates = isNew ? [...selected, fallback] : selected;
  const [first] = candidates;
  if (first === undefined) return { action: current ? "send" : "wait" };
  if (liveness === "receiving" && current && !isRecordNews) return { action: "send" };
  const position = candidates.findIndex((candidate) => sameTransportAddress(candidate, current));
  if (position < 0) return { action: "set", endpoint: first };
  const next = candidates[(position + 1) % candidates.length] ?? first;
  const tried = trial !== undefined && sameTransportAddress(trial.endpoint, current);
  const expired = tried && monotonicMs - trial.sinceMs >= CANDIDATE_TRIAL_MS;
  if (expired && !sameTransportAddress(next, current)) return { action: "set", endpoint: next };
  return { action: "send" };
}

/**
 * How long to wait before look number `attempt` (from 0) at the store while a peer is not reachable: 1, 2, 4, 8 s ...
 * up to `maxMs`, with a jitter of 15 % (`random` is in 0..1), so that many hosts do not ask at the same moment.
 */
export function pollDelayMs(attempt: number, options: { readonly maxMs: number; readonly random: number }): number {
  const { maxMs, random } = options;
  const base = FIRST_POLL_MS * 2 ** Math.min(attempt, 20);
  return Math.min(maxMs, base * (0.85 + 0.3 * random));
}

/**
 * The same after a health check found the tunnel dead: `fixedRetries` times 2 s, then 4, 8, 16 s ... up to `maxMs`. The
 * other end notices within seconds of us, so the first looks are close together.
 */
export function retryDelayMs(
  attempt: number,
  options: { readonly fixedRetries: number; readonly maxMs: number; readonly random: number },
): number {
  const { fixedRetries, maxMs, random } = options;
  const base = FIXED_RETRY_MS * 2 ** Math.min(Math.max(0, attempt - fixedRetries + 1), 20);
  return Math.min(maxMs, base * (0.85 + 0.3 * random));
}
