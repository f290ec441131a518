/**
 * Who makes the first handshake, and when: pure policy.
 *
 * Two WireGuards that start a handshake within one way of each other consume each other's initiation and then refuse each
 * other's response; both wait 5 s, and with traffic on both sides they stay in step, for minutes. So one side takes the
 * initiative, and the other opens its NAT for it and writes no endpoint: WireGuard learns it from the initiation that comes.
 *
 * An initiation that is lost costs 5 s as well. So the side with the initiative waits a moment, until it hears that the
 * other's NAT is open. Whoever hears nothing acts alone in the end: a peer may be of an older version, of STUNMESH-go,
 * behind a NAT whose port nobody knows, or away.
 */
import { sameTransportAddress, type TransportAddress } from "./address.ts";
import { isInSession, type Observation, SESSION_LIFETIME_MS } from "./convergence.ts";
import type { NatClass, PeerRecord } from "./record.ts";

/** While data was heard of so lately, WireGuard sends data, and starts no handshake: it does after 15 s (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT of the protocol). */
const DATA_FLOWS_MS = 10_000;
/** How long the initiator listens for the other side: a round trip, and the moment between two reads of the store. */
const INITIATOR_WAIT_MS = 750;
/** How long the other side leaves the first handshake to a peer it hears nothing of: longer by more than the longest way. */
const RESPONDER_WAIT_MS = 1_500;
/** The same when the peer is heard: its WireGuard may have tried just before, and tries again after 5 s and up to a third. */
const RESPONDER_HEARD_WAIT_MS = 6_000;
/** An opening as old as this starts again when the peer published again: it was away, and is back. */
const OPENING_STALE_MS = 30_000;

/** This side's NAT is being opened for a peer, and listened behind. Times are of the monotonic clock. */
export interface Opening {
  readonly endpoint: TransportAddress;
  readonly sinceMs: number;
  /** When the peer was heard first. */
  readonly heardAtMs?: number;
}

/** How long to leave the first handshake alone after opening the NAT. */
export interface Patience {
  readonly silentMs: number;
  /** When the peer was heard. */
  readonly heardMs: number;
}

/**
 * Says how patient this side has to be with a peer; undefined when there is nothing to wait for. The side with the lower
 * public key (as a string of bytes) has the initiative. STUNMESH-go always takes it. A side whose mapping depends on the
 * destination has to, for nobody else knows where its packets will come from.
 */
export function patienceWith(options: {
  readonly ownKey: Uint8Array;
  readonly peerKey: Uint8Array;
  readonly record: PeerRecord | undefined;
  readonly ownNat: NatClass | undefined;
  readonly observation: Observation | undefined;
  /** When the tunnel worked last. */
  readonly aliveAtMs?: number | undefined;
  readonly monotonicMs: number;
}): Patience | undefined {
  const { ownKey, peerKey, record, ownNat, observation, aliveAtMs = Number.NEGATIVE_INFINITY, monotonicMs } = options;
  if (!record || ownNat === "dep") return undefined;
  if (observation && isInSession(observation, monotonicMs)) {
    if (monotonicMs - observation.quietSinceMs < DATA_FLOWS_MS) return undefined;
  } else if (monotonicMs - aliveAtMs < SESSION_LIFETIME_MS) {
    // This side lost the session, as a WireGuard that was stopped does; the peer believes in it, and sends it data.
    return undefined;
  }
  const isLower = Buffer.compare(ownKey, peerKey) < 0;
  if (!record.isExtended) {
    // Perhaps one of ours whose store has no room for more than addresses: then both believe this, and must not act together.
    const silentMs = isLower ? RESPONDER_WAIT_MS : RESPONDER_WAIT_MS + INITIATOR_WAIT_MS;
    return { silentMs, heardMs: isLower ? 0 : RESPONDER_HEARD_WAIT_MS };
  }
  return isLower
    ? { silentMs: INITIATOR_WAIT_MS, heardMs: 0 }
    : { silentMs: RESPONDER_WAIT_MS, heardMs: RESPONDER_HEARD_WAIT_MS };
}

/** The opening to go on with, or a new one when it was for another endpoint, or is an old one and the peer is back. */
export function continueOpening(
  before: Opening | undefined,
  options: {
    readonly endpoint: TransportAddress;
    /** When the peer was last seen to have published. */
    readonly newsAtMs: number | undefined;
    readonly monotonicMs: number;
  },
): Opening {
  const { endpoint, newsAtMs = Number.NEGATIVE_INFINITY, monotonicMs } = options;
  const isSame = before !== undefined && sameTransportAddress(before.endpoint, endpoint);
  const isBack = isSame && newsAtMs - before.sinceMs >= OPENING_STALE_MS;
  return isSame && !isBack ? before : { endpoint, sinceMs: monotonicMs };
}

/** When this side acts by itself, of the monotonic clock: the past when it is time. */
export function actsAtMs({ sinceMs, heardAtMs }: Opening, { silentMs, heardMs }: Patience): number {
  return sinceMs + (heardAtMs === undefined ? silentMs : heardMs);
}
