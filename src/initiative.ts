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
import { type Family, sameTransportAddress, type TransportAddress } from "./address.ts";
import { isInSession, type Liveness, type Observation, SESSION_LIFETIME_MS, type Trial } from "./convergence.ts";
import type { NatClass, PeerRecord } from "./record.ts";

/** While data was heard of so lately, WireGuard sends data, and starts no handshake: it does after 15 s (KEEPALIVE_TIMEOUT + REKEY_TIMEOUT of the protocol). */
const DATA_FLOWS_MS = 10_000;
/** How long the initiator listens for the other side: a round trip, and the moment between two reads of the store. */
const INITIATOR_WAIT_MS = 750;
/** How long the other side leaves the first handshake to a peer it hears nothing of: longer by more than the longest way. */
const RESPONDER_WAIT_MS = 1_500;
/** The same from when the peer is heard: it acts then, but its WireGuard may have tried just before, and tries again after 5 s and up to a third. */
const RESPONDER_HEARD_WAIT_MS = 7_000;
/** An endpoint that was tried for so long has had a handshake attempt of either side. */
const IN_STEP_AFTER_MS = 6_000;
/** How long this side keeps still so that the peer's next attempt is alone, and how often it does. */
export const YIELD_MS = 6_000;
const YIELD_AGAIN_MS = 20_000;
/** Where nobody is, and no packet gets (RFC 5737, RFC 6666; the discard port). */
const NOWHERE: Readonly<Record<Family, TransportAddress>> = {
  ipv4: { family: "ipv4", host: "192.0.2.1", port: 9 },
  ipv6: { family: "ipv6", host: "100::1", port: 9 },
};
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
  return heardAtMs === undefined ? sinceMs + silentMs : heardAtMs + heardMs;
}

/**
 * True when the handshakes of the two sides are in step and this side has to leave the next one to the peer: the peer's
 * packets arrive, it was tried for longer than a handshake takes, and there is no session. Only the side with the higher key
 * yields, and only to a peer that knows of this; that one's attempts arrive, so that the next one brings the session.
 */
export function isInStep(options: {
  readonly ownKey: Uint8Array;
  readonly peerKey: Uint8Array;
  readonly record: PeerRecord | undefined;
  readonly liveness: Liveness;
  readonly observation: Observation | undefined;
  readonly trial: Trial | undefined;
  readonly yieldedAtMs: number | undefined;
  readonly monotonicMs: number;
}): boolean {
  const { ownKey, peerKey, record, liveness, observation, trial, yieldedAtMs, monotonicMs } = options;
  if (liveness !== "receiving" || !record?.isExtended || Buffer.compare(ownKey, peerKey) < 0) return false;
  if (!observation || isInSession(observation, monotonicMs)) return false;
  const isTried = trial !== undefined && monotonicMs - trial.sinceMs >= IN_STEP_AFTER_MS;
  return isTried && (yieldedAtMs === undefined || monotonicMs - yieldedAtMs >= YIELD_AGAIN_MS);
}

/** Where this side sends a peer's packets to while it yields. */
export function nowhere(family: Family): TransportAddress {
  return NOWHERE[family];
}

/** True for such an endpoint: this side yields, or did and was stopped. */
export function isNowhere(endpoint: TransportAddress | undefined): boolean {
  return endpoint !== undefined && sameTransportAddress(endpoint, NOWHERE[endpoint.family]);
}
