/** What is known about one peer, as others may see it (status.ts). Made when somebody asks. */
import { type Failure, lastingFailures } from "./activity.ts";
import { formatAddresses, formatTransportAddress, sameTransportAddress, type TransportAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import { describeError, errorCode } from "./errors.ts";
import { explainPeer, type Known, peerNotes, wallTime } from "./explain-peer.ts";
import { type Health, lossOf } from "./health/verdict.ts";
import { mappingOf } from "./nat.ts";
import { findPeer, type PeerState } from "./peer-state.ts";
import type { FailureStatus, PeerStatus } from "./status.ts";
import type { Turns } from "./turns.ts";

/** What there is to know about the interface of a peer. */
export interface Surroundings extends Known {
  readonly turns: Turns;
  health(peer: PeerState): Health | undefined;
}

export function failureStatus({ atMs, error }: Failure, clock: Clock): FailureStatus {
  const code = errorCode(error);
  return { at: wallTime(clock, atMs), message: describeError(error), ...(code && { code }) };
}

export function peerStatus(peer: PeerState, around: Surroundings): PeerStatus {
  const { clock, device, turns } = around;
  const { config, activity } = peer;
  const state = activity.state?.name ?? "waiting";
  const reading = device && findPeer(device, peer);
  const at = (monotonicMs: number) => wallTime(clock, monotonicMs);
  const [publishFailure] = lastingFailures(activity, "publish");
  const [fetchFailure] = lastingFailures(activity, "fetch");
  const notes = peerNotes(peer, around);
  const next = reading && turns.planned(peer);
  const pingStatus = describePing(peer, around);
  return {
    name: config.name,
    ...(config.description !== undefined && { description: config.description }),
    publicKey: Buffer.from(config.publicKey).toString("base64"),
    state,
    since: at(activity.state?.sinceMs ?? clock.monotonic()),
    ...(state !== "reachable" && { why: explainPeer(peer, around) }),
    ...(notes.length > 0 && { notes }),
    ...(reading && {
      ...describeEndpoint(peer, reading.endpoint),
      ...(reading.latestHandshakeMs !== undefined && {
        latestHandshakeAt: new Date(reading.latestHandshakeMs).toISOString(),
      }),
      receivedBytes: reading.receivedBytes,
      sentBytes: reading.sentBytes,
      persistentKeepalive: reading.persistentKeepalive,
    }),
    ...(pingStatus && { ping: pingStatus }),
    ...describeRecord(peer, at),
    published: [...peer.published].map(([plugin, { endpoints, atMs }]) => ({
      plugin,
      at: at(atMs),
      addresses: formatAddresses(endpoints),
    })),
    ...(publishFailure && { publishError: failureStatus(publishFailure, clock) }),
    ...(activity.fetch && { fetch: { at: at(activity.fetch.atMs), result: activity.fetch.result } }),
    ...(fetchFailure && { fetchError: failureStatus(fetchFailure, clock) }),
    ...(next && { next: { at: at(Math.max(next.atMs, clock.monotonic())), reason: next.occasion } }),
    busy: turns.scheduleOf(peer).busy,
    plugins: config.plugins,
    counters: { ...activity.counters },
  };
}

function describeEndpoint(
  { activity, record }: PeerState,
  endpoint: TransportAddress | undefined,
): Pick<PeerStatus, "endpoint" | "endpointFrom"> {
  if (!endpoint) return {};
  const { written } = activity;
  const isRecord = sameTransportAddress(record?.endpoints[endpoint.family], endpoint);
  const isWritten = written !== undefined && sameTransportAddress(written.endpoint, endpoint);
  const endpointFrom = isWritten ? written.from : isRecord ? "record" : "wireguard";
  return { endpoint: formatTransportAddress(endpoint), endpointFrom };
}

function describePing(peer: PeerState, { clock, health }: Surroundings): PeerStatus["ping"] {
  const { ping } = peer.config;
  if (!ping) return undefined;
  const seen = health(peer);
  return {
    target: ping.target,
    verdict: seen?.verdict ?? "unknown",
    since: wallTime(clock, seen?.sinceMs ?? peer.activity.state?.sinceMs ?? clock.monotonic()),
    ...(seen?.rttMs !== undefined && { rttMs: seen.rttMs }),
    loss: seen ? lossOf(seen) : 0,
  };
}

function describeRecord(
  { record, recordSequence, activity }: PeerState,
  at: (monotonicMs: number) => string,
): Pick<PeerStatus, "record"> {
  if (!record) return {};
  const { ipv4, ipv6 } = record.endpoints;
  const sequence = record.sequence ?? recordSequence;
  const nat = mappingOf(record.nat);
  return {
    record: {
      ...(ipv4 && { ipv4: formatTransportAddress(ipv4) }),
      ...(ipv6 && { ipv6: formatTransportAddress(ipv6) }),
      ...(sequence !== undefined && { sequence }),
      ...(nat && { nat }),
      ...(activity.recordAtMs !== undefined && { acceptedAt: at(activity.recordAtMs) }),
    },
  };
}
