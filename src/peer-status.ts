/** What is known about one peer, as others may see it (status.ts). Made when somebody asks. */
import { type Failure, lastingFailure, noteState } from "./activity.ts";
import { type EndpointRecord, formatTransportAddress, sameTransportAddress, type TransportAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import { explainUnreachable, type Mapping } from "./diagnosis.ts";
import { describeError, errorCode } from "./errors.ts";
import type { StateChange } from "./events.ts";
import { type Health, lossOf } from "./health/verdict.ts";
import { mappingOf } from "./nat.ts";
import type { PeerState } from "./peer-state.ts";
import { findPeer } from "./settle.ts";
import type { FailureStatus, PeerStateName, PeerStatus } from "./status.ts";
import type { Turns } from "./turns.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** What there is to know about the interface of a peer. */
export interface Surroundings {
  readonly clock: Clock;
  readonly device: WireGuardDevice | undefined;
  /** Why there is no device, for a person. */
  readonly problem: string | undefined;
  readonly mapping: Mapping | undefined;
  readonly ownAddressKnown: boolean;
  readonly turns: Turns;
  health(peer: PeerState): Health | undefined;
}

/** The wall clock's time of a moment of the monotonic clock, ISO 8601. */
export function wallTime(clock: Clock, monotonicMs: number): string {
  return new Date(clock.now() - clock.monotonic() + monotonicMs).toISOString();
}

export function failureStatus({ atMs, error }: Failure, clock: Clock): FailureStatus {
  const code = errorCode(error);
  return { at: wallTime(clock, atMs), message: describeError(error), ...(code && { code }) };
}

/** What a peer is, by the last look at its device. */
function stateOf(peer: PeerState, device: WireGuardDevice | undefined): PeerStateName {
  if (!device) return "waiting";
  if (!findPeer(device, peer)) return "missing";
  return peer.liveness === "alive" ? "reachable" : peer.liveness === "receiving" ? "receiving" : "unreachable";
}

/** Notes what the peers are by the last look at their device, and tells what became different. */
export function noteStates(
  peers: readonly PeerState[],
  { device, clock, interface: name, onState }: StateContext,
): void {
  const nowMs = clock.monotonic();
  for (const peer of peers) {
    const state = stateOf(peer, device);
    const previous = noteState(peer.activity, { name: state, nowMs });
    if (previous === undefined || previous === state) continue;
    const endpoint = peer.observation?.endpoint && formatTransportAddress(peer.observation.endpoint);
    onState?.({ interface: name, peer: peer.config.name, state, previous, ...(endpoint && { endpoint }) });
  }
}

interface StateContext {
  readonly interface: string;
  readonly device: WireGuardDevice | undefined;
  readonly clock: Clock;
  readonly onState?: ((change: StateChange) => void) | undefined;
}

/** Why the peer is not reachable, and what may help. */
export function explainPeer(peer: PeerState, { device, problem, mapping, ownAddressKnown }: ExplainContext): string {
  if (!device) return `the interface is not ready: ${problem ?? "it is not there"}`;
  if (!findPeer(device, peer)) {
    return "the peer is not on the device: add it with wg(8), or correct its public_key in the configuration";
  }
  const failed = (what: "publish" | "fetch") => {
    const failure = lastingFailure(peer.activity, what);
    return failure && describeError(failure.error);
  };
  return explainUnreachable({
    liveness: peer.liveness,
    pingTarget: peer.config.ping?.target,
    hasRecord: peer.record !== undefined,
    endpoint: peer.observation?.endpoint,
    mapping,
    peerMapping: mappingOf(peer.record?.nat),
    ownAddressKnown,
    publishError: peer.published.size === 0 ? failed("publish") : undefined,
    fetchError: failed("fetch"),
  });
}

type ExplainContext = Pick<Surroundings, "device" | "problem" | "mapping" | "ownAddressKnown">;

export function peerStatus(peer: PeerState, around: Surroundings): PeerStatus {
  const { clock, device, turns } = around;
  const { config, activity } = peer;
  const state = activity.state?.name ?? "waiting";
  const reading = device && findPeer(device, peer);
  const at = (monotonicMs: number) => wallTime(clock, monotonicMs);
  const publishFailure = lastingFailure(activity, "publish");
  const fetchFailure = lastingFailure(activity, "fetch");
  const next = reading && turns.planned(peer);
  const pingStatus = describePing(peer, around);
  return {
    name: config.name,
    ...(config.description !== undefined && { description: config.description }),
    publicKey: Buffer.from(config.publicKey).toString("base64"),
    state,
    since: at(activity.state?.sinceMs ?? clock.monotonic()),
    ...(state !== "reachable" && { why: explainPeer(peer, around) }),
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
      addresses: addressTexts(endpoints),
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

function addressTexts({ ipv4, ipv6 }: EndpointRecord): readonly string[] {
  return [ipv4, ipv6].flatMap((address) => (address ? [formatTransportAddress(address)] : []));
}
