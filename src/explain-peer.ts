/** Why a peer is not reachable, and what else is odd about it, from all that is known. Made when somebody asks. */
import { isSteady, lastingFailures, type StoreFailure } from "./activity.ts";
import { clocksDiffer, inOneSentence, noKeepalive, notOnDevice, type PortChange, type StunTrouble } from "./causes.ts";
import type { Clock } from "./clock.ts";
import type { DeviceLook } from "./device-look.ts";
import { explainUnreachable, type Mapping, type Situation } from "./diagnosis.ts";
import { describeError, type ErrorCode, errorCode } from "./errors.ts";
import { mappingOf } from "./nat.ts";
import type { OwnAddressDetails } from "./own-address.ts";
import { findPeer, type PeerState } from "./peer-state.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** For so long after a packet of it a peer counts as heard: with keepalive there is one every 25 s or so. */
const HEARD_MS = 60_000;

/** What is known about an interface. */
export interface Known {
  readonly clock: Clock;
  /** All that are configured. */
  readonly peers: readonly PeerState[];
  readonly device: WireGuardDevice | undefined;
  /** Why there is no device, for a person. */
  readonly problem: string | undefined;
  readonly portChange: ReturnType<DeviceLook["portChange"]>;
  readonly mapping: Mapping | undefined;
  readonly ownAddressKnown: boolean;
  readonly own: OwnAddressDetails;
}

/** The wall clock's time of a moment of the monotonic clock, ISO 8601. */
export function wallTime(clock: Clock, monotonicMs: number): string {
  return new Date(clock.now() - clock.monotonic() + monotonicMs).toISOString();
}

/** Why the peer is not reachable, and what may help. */
export function explainPeer(peer: PeerState, known: Known): string {
  const { device, problem, mapping, ownAddressKnown, own, portChange } = known;
  if (!device) return `the interface is not ready: ${problem ?? "it is not there"}`;
  const reading = findPeer(device, peer);
  if (!reading) return inOneSentence(notOnDevice(base64(peer.config.publicKey), strangersOn(device, known.peers)));
  const { config, record, activity, observation } = peer;
  const wasHeardSince = (observation?.receivedAtMs ?? -Infinity) > (portChange?.atMs ?? Infinity);
  return explainUnreachable({
    liveness: peer.liveness,
    pingTarget: config.ping?.target,
    hasRecord: record !== undefined,
    wasFetched: activity.fetch !== undefined,
    hadHandshake: reading.latestHandshakeMs !== undefined,
    endpoint: observation?.endpoint,
    mapping,
    peerMapping: mappingOf(record?.nat),
    ownAddressKnown,
    stunTrouble: stunTroubleOf(own),
    heardFrom: heardSinceSilence(known),
    foreign: activity.foreign,
    ...storeTroubles(peer),
    portChange: portChange && !wasHeardSince ? describePortChange(known) : undefined,
  });
}

/** Only what all stores fail at keeps a peer away. */
function storeTroubles({
  config,
  activity,
  record,
  published,
}: PeerState): Pick<Situation, "publishTrouble" | "fetchTrouble" | "recordTrouble"> {
  const describe = ({ store, error }: StoreFailure) => ({ store, message: describeError(error) });
  const publishes = lastingFailures(activity, "publish");
  const fetches = lastingFailures(activity, "fetch");
  const isAll = (failures: readonly unknown[]) => failures.length >= config.plugins.length;
  const [publish] = publishes;
  const [fetch] = fetches;
  const bad = fetches.find(({ error }) => errorCode(error)?.startsWith("RECORD_"));
  const isFirst = published.size === 0;
  return {
    ...(publish && (isFirst || isAll(publishes)) && { publishTrouble: { ...describe(publish), isFirst } }),
    ...(fetch && !bad && isAll(fetches) && { fetchTrouble: describe(fetch) }),
    ...(bad &&
      (!record || isAll(fetches)) && {
        recordTrouble: { ...describe(bad), isUnreadable: errorCode(bad.error) === "RECORD_UNREADABLE" },
      }),
  };
}

/** What the last discovery failed for; undefined when it brought an address. */
export function stunTroubleOf({ silentSinceMs, failure }: OwnAddressDetails): StunTrouble | undefined {
  if (silentSinceMs === undefined) return undefined;
  const message = describeError(failure?.error).replace(/^Cannot (learn the mapped IPv[46] address|discover): /, "");
  return { kind: troubleKinds.get(errorCode(failure?.error)) ?? "not sent", message };
}

const troubleKinds: ReadonlyMap<ErrorCode | undefined, StunTrouble["kind"]> = new Map([
  ["STUN_NO_ANSWER", "silent"],
  ["STUN_UNUSABLE", "unusable"],
  ["STUN_NAME_UNRESOLVED", "unresolved"],
]);

/** The name of a peer that WireGuard hears although no STUN server has answered for a while. */
export function heardSinceSilence({ own, peers, clock }: Pick<Known, "own" | "peers" | "clock">): string | undefined {
  if (own.silentSinceMs === undefined) return undefined;
  const sinceMs = Math.max(own.silentSinceMs, clock.monotonic() - HEARD_MS);
  return peers.find(({ observation }) => (observation?.receivedAtMs ?? -Infinity) > sinceMs)?.config.name;
}

/** The last change of the listen port, as people like to read it. */
export function describePortChange({ portChange, clock }: Pick<Known, "portChange" | "clock">): PortChange | undefined {
  if (!portChange) return undefined;
  const at = wallTime(clock, portChange.atMs).replace(/\.\d+/, "");
  return { from: portChange.from, to: portChange.to, at };
}

/** What is not as it should be about a peer, whether it is reachable or not. */
export function peerNotes(peer: PeerState, { device, mapping, clock }: Known): readonly string[] {
  const reading = device && findPeer(device, peer);
  const { sequenceSeen: seen } = peer.activity;
  // A clock that was set since may be right now.
  const isSame = seen && isSteady(seen, { atMs: clock.monotonic(), wallMs: clock.now() });
  const clocks =
    isSame && clocksDiffer({ sequence: seen.sequence, seenAtMs: seen.wallMs, absentAtMs: seen.absentWallMs });
  return [
    ...(reading?.persistentKeepalive === 0 && mapping !== "no NAT" ? [inOneSentence(noKeepalive())] : []),
    ...(clocks ? [inOneSentence(clocks)] : []),
  ];
}

/** By look at a device: with a thousand peers that are missing, each of them asks. */
const strangers = new WeakMap<WireGuardDevice, readonly string[]>();

/** Public keys of peers of the device that the configuration does not have. */
function strangersOn(device: WireGuardDevice, peers: readonly PeerState[]): readonly string[] {
  const known = strangers.get(device);
  if (known) return known;
  const configured = new Set(peers.map(({ config }) => base64(config.publicKey)));
  const found = device.peers.map(({ publicKey }) => base64(publicKey)).filter((key) => !configured.has(key));
  strangers.set(device, found);
  return found;
}

function base64(key: Uint8Array): string {
  return Buffer.from(key).toString("base64");
}
