/** Which of several stored values is the peer's newest record. */
import { type EndpointRecord, selectEndpoints } from "./address.ts";
import { StunmeshError } from "./errors.ts";
import type { PeerState } from "./peer-state.ts";
import { checkFresh, createRecordOpener, type Direction, type PeerRecord } from "./record.ts";
import { compareSequences, markAbove } from "./sequence.ts";

interface Judge {
  readonly peer: PeerState;
  readonly direction: Direction;
  /** Of this device. */
  readonly privateKey: Uint8Array;
  /** Own addresses, as far as they are known. */
  readonly own: EndpointRecord | undefined;
  /** Addresses of the tunnel on this host. */
  readonly tunnel?: readonly string[] | undefined;
  /** Wall clock. */
  readonly nowMs: number;
}

/** The freshest of the values that are good records of the peer. Throws the first error (RECORD_*) when none is. */
export function selectGood(values: readonly string[], judge: Judge): PeerRecord {
  const open = createRecordOpener({ ...judge.direction, privateKey: judge.privateKey });
  let best: PeerRecord | undefined;
  let firstError: unknown;
  for (const value of values) {
    try {
      best = newer(best, check(open(value), judge), judge);
    } catch (error) {
      firstError ??= error;
    }
  }
  if (!best) throw firstError;
  return best;
}

/** The newest of `records`, without those that something newer was accepted after. */
export function selectNewest(
  records: readonly PeerRecord[],
  judge: Pick<Judge, "peer" | "nowMs">,
): PeerRecord | undefined {
  const { peer: marks, nowMs } = judge;
  return records
    .filter(({ sequence }) => sequence === undefined || markAbove(sequence, { marks, nowMs }) === undefined)
    .reduce<PeerRecord | undefined>((best, record) => newer(best, record, judge), undefined);
}

/** The newer one by what is known of the peer's numbers; the first of two of the same age. */
function newer(
  best: PeerRecord | undefined,
  record: PeerRecord,
  { peer: marks, nowMs }: Pick<Judge, "peer" | "nowMs">,
): PeerRecord {
  return best && compareSequences(best.sequence, record.sequence, { marks, nowMs }) >= 0 ? best : record;
}

/** The one with the higher sequence number; the first of two without. */
export function freshest(best: PeerRecord | undefined, record: PeerRecord): PeerRecord {
  return best && (best.sequence ?? 0) >= (record.sequence ?? 0) ? best : record;
}

function check(record: PeerRecord, { peer, own, tunnel, nowMs }: Judge): PeerRecord {
  checkFresh(record, { marks: peer, nowMs, own, tunnel });
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
