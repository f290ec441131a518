/** When a record is written to the store: pure policy. */
import type { EndpointRecord } from "./address.ts";
import { type NatClass, sameEndpoints } from "./record.ts";

/** A store is trusted to keep an unchanged record this long, however quiet everything is. */
const REPUBLISH_AFTER_MS = 6 * 3_600_000;

export interface Publication {
  readonly endpoints: EndpointRecord;
  /** What the peer was told about our NAT. */
  readonly nat?: NatClass | undefined;
  /** Monotonic clock. */
  readonly atMs: number;
  /** Writing it once more failed, or something else was found in its place: the store is not trusted to still have it. */
  readonly isDoubted?: boolean;
}

/**
 * interval  the regular refresh
 * poll      a look between two refreshes, because the peer is not reachable
 * suspicion  a ping was lost: if this side or the peer has moved, both should know before the tunnel is found dead
 * change    this host's network changed: the own address may be another
 * failure   the tunnel to the peer was just found dead, or somebody asked: the store is not trusted to still have it
 */
export type Occasion = "interval" | "poll" | "suspicion" | "change" | "failure";

/** True when `own` is to be written now. `published` is what was written last, successfully. */
export function isPublishDue(options: {
  readonly own: EndpointRecord;
  /** The own NAT, as far as it is known. */
  readonly nat?: NatClass | undefined;
  readonly published: Publication | undefined;
  readonly occasion: Occasion;
  readonly dedup: boolean;
  readonly expiresAfterMs: number | undefined;
  readonly monotonicMs: number;
}): boolean {
  const { own, nat, published, occasion, dedup, expiresAfterMs, monotonicMs } = options;
  if (!published || published.isDoubted || !sameEndpoints(own, published.endpoints) || occasion === "failure") {
    return true;
  }
  // The NAT is known a little after the addresses. A peer that cannot be reached is told at once: it explains why.
  if (occasion === "poll" && nat !== undefined && nat !== published.nat) return true;
  const ageMs = monotonicMs - published.atMs;
  const keptMs = Math.min(REPUBLISH_AFTER_MS, (expiresAfterMs ?? Number.POSITIVE_INFINITY) / 2);
  if (ageMs >= keptMs) return true;
  return occasion === "interval" && !dedup;
}
