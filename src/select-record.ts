/** Which of several stored values is the peer's newest record. */
import { type EndpointRecord, selectEndpoints } from "./address.ts";
import { StunmeshError } from "./errors.ts";
import type { PeerState } from "./peer-state.ts";
import { checkFresh, type Direction, openRecord, type PeerRecord } from "./record.ts";

interface Judge {
  readonly peer: PeerState;
  readonly direction: Direction;
  /** Of this device. */
  readonly privateKey: Uint8Array;
  /** Own addresses, as far as they are known. */
  readonly own: EndpointRecord | undefined;
  /** Addresses of the tunnel on this host. */
  readonly tunnel?: readonly string[] | undefined;
}

/** The freshest of the values that are good records of the peer. Throws the first error (RECORD_*) when none is. */
export function selectGood(values: readonly string[], judge: Judge): PeerRecord {
  let best: PeerRecord | undefined;
  let firstError: unknown;
  for (const value of values) {
    try {
      best = freshest(best, openGood(value, judge));
    } catch (error) {
      firstError ??= error;
    }
  }
  if (!best) throw firstError;
  return best;
}

/** The one with the higher sequence number; the first of two without. */
export function freshest(best: PeerRecord | undefined, record: PeerRecord): PeerRecord {
  return best && (best.sequence ?? 0) >= (record.sequence ?? 0) ? best : record;
}

function openGood(value: string, { peer, direction, privateKey, own, tunnel }: Judge): PeerRecord {
  const record = openRecord(value, { ...direction, privateKey });
  checkFresh(record, { sequence: peer.recordSequence, own, tunnel });
  checkFamily(record.endpoints, peer);
  return record;
}

function checkFamily(endpoints: EndpointRecord, { config }: PeerState): void {
  if (selectEndpoints(endpoints, config.protocol).length > 0) return;
  const has = [endpoints.ipv4 && "IPv4", endpoints.ipv6 && "IPv6"].filter(Boolean).join(" and ") || "no";
  throw new StunmeshError(
    "RECORD_NO_FAMILY",
    `Cannot use a record: it has ${has} address only, the peer's protocol is "${config.protocol}"`,
  );
}
