/** Checks of one peer: its records, ours, its endpoint and its handshake. Pure. */
import {
  type EndpointRecord,
  formatAddresses,
  formatTransportAddress,
  sameTransportAddress,
  selectEndpoints,
  type TransportAddress,
} from "../address.ts";
import { clocksDiffer, foreignRecord } from "../causes.ts";
import { formatDuration } from "../duration.ts";
import type { PeerRecord } from "../record.ts";
import { freshest } from "../select-record.ts";
import { type FoundValue, mappedOf, type OwnNat, type PeerFacts } from "./facts.ts";
import type { Check, Finding } from "./finding.ts";

/** WireGuard drops a session this long after its handshake (REJECT_AFTER_TIME of the protocol). */
const SESSION_MS = 180_000;
/** A daemon publishes at least every 6 h. */
const STALE_MS = 6.5 * 3_600_000;
/** A record of ours that is as fresh as this, and that no daemon here has written. */
const RECENT_MS = 600_000;

export interface PeerSituation {
  readonly peer: PeerFacts;
  readonly nat: OwnNat;
}

export const peerChecks: readonly Check<PeerSituation>[] = [
  checkRecord,
  checkRecordClock,
  checkOwnRecord,
  checkEndpoint,
  checkHandshake,
];

export function subjectOf({ peer }: PeerSituation): string {
  return `${peer.interface}/${peer.config.name}`;
}

/** The freshest good record of the peer. */
export function recordOf({ found }: Pick<PeerFacts, "found">): PeerRecord | undefined {
  return recordsIn(found).reduce<PeerRecord | undefined>(freshest, undefined);
}

function recordsIn(values: readonly FoundValue[]): readonly PeerRecord[] {
  return values.flatMap((value) => ("record" in value ? [value.record] : []));
}

/** How old the last handshake is; undefined when there was none. A clock that was set back makes it negative. */
export function handshakeAgeMs({ onDevice, nowMs }: PeerFacts): number | undefined {
  return onDevice?.latestHandshakeMs === undefined ? undefined : nowMs - onDevice.latestHandshakeMs;
}

export function hasSession(peer: PeerFacts): boolean {
  const ageMs = handshakeAgeMs(peer);
  return ageMs !== undefined && ageMs < SESSION_MS;
}

/** The address of the record that the peer's `protocol` would have used first. */
export function candidateOf(peer: PeerFacts): TransportAddress | undefined {
  const record = recordOf(peer);
  return record && selectEndpoints(record.endpoints, peer.config.protocol)[0];
}

function checkRecord(situation: PeerSituation): readonly Finding[] {
  const { peer } = situation;
  const subject = subjectOf(situation);
  const check = "record";
  const record = recordOf(peer);
  const level = record ? "warn" : "fail";
  const bad = peer.found.flatMap((value): readonly Finding[] =>
    "failure" in value && !isPassedOver(value, peer)
      ? [{ level, check, subject, text: `in ${value.plugin}: ${value.failure.message}` }]
      : [],
  );
  if (record) {
    const { sequence, nat } = record;
    const ageMs = sequence === undefined ? undefined : peer.nowMs - sequence * 1000;
    const age = ageMs === undefined || ageMs < 0 ? "" : `, ${formatDuration(ageMs)} old`;
    const text = `the peer has published ${formatEndpoints(record.endpoints)}${age}${nat ? `, NAT: ${natWords[nat]}` : ""}`;
    const isStale = ageMs !== undefined && ageMs > STALE_MS;
    const hint = "no daemon runs at the peer, or it cannot reach the store: a daemon publishes every 6 h at least";
    return [isStale ? { level: "warn", check, subject, text, hint } : { level: "ok", check, subject, text }, ...bad];
  }
  if (bad.length > 0 || peer.unreadable.size === peer.config.plugins.length) return bad;
  return [
    {
      level: "fail",
      check,
      subject,
      text: `the peer has published nothing for this host in ${peer.config.plugins.join(", ")}`,
      hint: `start stunmesh-ts there, with the same store and the public key of this host, ${base64(peer.device.publicKey)}; and check the peer's key here`,
    },
  ];
}

/** A store that keeps several values (OpenDHT) has old ones beside the newest, and those of strangers: nothing is wrong. */
function isPassedOver({ plugin }: FoundValue, { found }: PeerFacts): boolean {
  return found.some((other) => other.plugin === plugin && "record" in other);
}

const natWords = { eim: "endpoint-independent", dep: "symmetric", none: "none" } as const;

function checkRecordClock(situation: PeerSituation): readonly Finding[] {
  const { peer } = situation;
  const { sequence } = recordOf(peer) ?? {};
  if (sequence === undefined) return [];
  const cause = clocksDiffer({ sequence, seenAtMs: peer.nowMs });
  return cause ? [{ level: "warn", check: "record-clock", subject: subjectOf(situation), ...cause }] : [];
}

/** Our own place in the store: who else writes there has our key. */
function checkOwnRecord(situation: PeerSituation): readonly Finding[] {
  const { peer, nat } = situation;
  const subject = subjectOf(situation);
  const check = "own-record";
  const { sequence, endpoints = {} } = recordsIn(peer.own).reduce<PeerRecord | undefined>(freshest, undefined) ?? {};
  const text = formatEndpoints(endpoints);
  if (text === "") {
    if (peer.unreadable.size > 0) return [];
    const nothing = "this host has published nothing for the peer yet";
    return [
      { level: "fail", check, subject, text: nothing, hint: 'start "stunmesh-ts run", or try "stunmesh-ts publish"' },
    ];
  }
  const isOwn = isWhereWeAre(endpoints, nat);
  if (isForeign(peer, { sequence, isOwn })) {
    return [{ level: "fail", check, subject, ...foreignRecord(text) }];
  }
  if (isOwn === false) {
    const now = (["ipv4", "ipv6"] as const)
      .flatMap((family) => mappedOf(nat[family]) ?? [])
      .map(formatTransportAddress);
    return [
      {
        level: "fail",
        check,
        subject,
        text: `this host is ${now.join(" and ")} now, but has published ${text}: its address or listen port changed since`,
        hint: peer.servedBy
          ? "the daemon notices by itself within seconds; if this stays, see its log"
          : 'no daemon keeps it up to date: start "stunmesh-ts run"',
      },
    ];
  }
  return [
    { level: "ok", check, subject, text: `this host has published ${text}${isOwn ? ", which is where it is" : ""}` },
  ];
}

/** Undefined when it cannot be compared: nothing is known of now, or the NAT shows everyone another port. */
function isWhereWeAre(published: EndpointRecord, nat: OwnNat): boolean | undefined {
  const results = (["ipv4", "ipv6"] as const).flatMap((family) => {
    const facts = nat[family];
    const written = published[family];
    const seen = facts?.survey?.flatMap(({ answers }) => answers.map(({ mapped }) => mapped)) ?? [];
    if (!written || seen.length === 0) return [];
    const isSymmetric = new Set(seen.map(formatTransportAddress)).size > 1;
    return [seen.some((one) => (isSymmetric ? one.host === written.host : sameTransportAddress(one, written)))];
  });
  return results.length === 0 ? undefined : results.every(Boolean);
}

/** A number is on the disk here before it is in the store: a higher one is somebody else's. */
function isForeign(
  { usedSequence, servedBy, nowMs }: PeerFacts,
  { sequence, isOwn }: { readonly sequence: number | undefined; readonly isOwn: boolean | undefined },
): boolean {
  if (sequence === undefined || isOwn !== false) return false;
  if (usedSequence !== undefined) return sequence > usedSequence;
  // Without a state directory the next best: it is fresh, and nobody here could have written it.
  return servedBy === undefined && nowMs - sequence * 1000 < RECENT_MS;
}

function checkEndpoint(situation: PeerSituation): readonly Finding[] {
  const { peer } = situation;
  const { onDevice } = peer;
  const subject = subjectOf(situation);
  const check = "endpoint";
  if (!onDevice) return [];
  const candidate = candidateOf(peer);
  const endpoint = onDevice.endpoint;
  if (!endpoint) {
    const text = "WireGuard has no endpoint for the peer";
    const hint = candidate ? 'start "stunmesh-ts run", or set it once with "stunmesh-ts establish"' : undefined;
    return [{ level: peer.servedBy || !candidate ? "info" : "warn", check, subject, text, ...(hint && { hint }) }];
  }
  const isRecorded = Object.values(recordOf(peer)?.endpoints ?? {}).some((one) => sameTransportAddress(one, endpoint));
  const text = `WireGuard sends to ${formatTransportAddress(endpoint)}`;
  if (!candidate || isRecorded) return [{ level: "ok", check, subject, text }];
  if (hasSession(peer)) return [{ level: "ok", check, subject, text: `${text}, where the peer was heard last` }];
  const hint = peer.servedBy
    ? "the daemon sets it within seconds, unless it refuses the record: see its log"
    : undefined;
  return [
    {
      level: "warn",
      check,
      subject,
      text: `${text}, but the peer says it is ${formatTransportAddress(candidate)}`,
      hint: hint ?? 'start "stunmesh-ts run", or set it once with "stunmesh-ts establish"',
    },
  ];
}

function checkHandshake(situation: PeerSituation): readonly Finding[] {
  const { peer } = situation;
  const check = "handshake";
  const subject = subjectOf(situation);
  if (!peer.onDevice) return [];
  const ageMs = handshakeAgeMs(peer);
  if (ageMs === undefined) return [{ level: "warn", check, subject, text: "there never was a handshake" }];
  const text = `the last handshake was ${formatDuration(ageMs)} ago`;
  return [{ level: hasSession(peer) ? "ok" : "warn", check, subject, text }];
}

function formatEndpoints(endpoints: EndpointRecord): string {
  return formatAddresses(endpoints).join(" and ");
}

function base64(key: Uint8Array): string {
  return Buffer.from(key).toString("base64");
}
