/** What the daemon remembers about one peer of one interface, for as long as it runs. */
import { isDeepStrictEqual } from "node:util";
import { type Activity, createActivity } from "./activity.ts";
import type { TransportAddress } from "./address.ts";
import type { PeerConfig } from "./config/types.ts";
import type { Liveness, Observation, Trial } from "./convergence.ts";
import type { Opening } from "./initiative.ts";
import type { Store } from "./plugins/types.ts";
import type { Publication } from "./publishing.ts";
import type { PeerRecord } from "./record.ts";
import type { WireGuardDevice, WireGuardPeer } from "./wg/types.ts";

/**
 * What was written, and where: another private key of the device is another storage key, and a reload may open another store
 * under the same name.
 */
export interface Written extends Publication {
  readonly storageKey: string;
  readonly store: Store;
}

export interface TunnelAnswer {
  readonly target: string;
  readonly rttMs: number;
  /** What WireGuard had received from the peer before the packet was sent. */
  readonly receivedBytes: number;
  /** Monotonic clock. */
  readonly atMs: number;
}

export interface PeerState {
  readonly config: PeerConfig;
  /** Good records that stores have found, and under which storage key, and that were not looked at yet. */
  readonly found: { readonly key: string; readonly record: PeerRecord }[];
  /** Calls of stores that are under way for this peer. */
  readonly underWay: Set<string>;
  /** What was last written for this peer, by name of the store. */
  readonly published: Map<string, Written>;
  /** What happened, for people. */
  readonly activity: Activity;
  /** Own sequence number, the last one used. */
  sequence?: number;
  /** Newest record accepted from the peer. */
  record?: PeerRecord;
  /** Monotonic clock: when the peer was last seen to have published something else, or the same again. */
  newsAtMs?: number;
  /** Monotonic clock: when this side last kept still, so that the peer's handshake is alone. */
  yieldedAtMs?: number;
  /** The own NAT is being opened for the peer. */
  opening?: Opening;
  /** From where on the peer's sequence numbers are accepted (sequence.ts). */
  recordSequence?: number | undefined;
  aheadSequence?: number | undefined;
  observation?: Observation;
  liveness: Liveness;
  /** Monotonic clock: when the tunnel was last seen to work. */
  aliveAtMs?: number;
  /** Monotonic clock: since when there is reason to doubt a tunnel that counts as alive; unset once something is heard. */
  doubtedAtMs?: number;
  /** Where the tunnel worked last, in this run or, remembered, in one before. */
  worked?: TransportAddress;
  /** The same from before a restart, tried as well until the store has said where the peer is now. */
  fallback?: TransportAddress;
  /** Monotonic clock: when the first lost ping was followed by a look at the device; unset while none is lost. */
  suspectedAtMs?: number;
  /** Monotonic clock: when a packet was last sent through the tunnel to see whether it works. */
  provokedAtMs?: number;
  /** An answer to such a packet, until WireGuard's counters say whether it came through the tunnel. */
  answer?: TunnelAnswer;
  /** An address whose answer did not come through the tunnel: another one is pinged. */
  foreignTarget?: string;
  /** The endpoint that is being tried. */
  trial?: Trial;
}

/** What was written last in this very place; undefined when something else was meant. */
export function writtenTo(
  written: Written | undefined,
  place: Pick<Written, "storageKey" | "store">,
): Written | undefined {
  return written?.store === place.store && written.storageKey === place.storageKey ? written : undefined;
}

export function createPeerState(config: PeerConfig): PeerState {
  const activity = createActivity();
  return { config, found: [], underWay: new Set(), published: new Map(), activity, liveness: "silent" };
}

/** Since when the peer's tunnel is doubted: a doubt ends when something was heard after it began. */
export function doubtedSince(peer: PeerState): number | undefined {
  const { doubtedAtMs, observation } = peer;
  if (doubtedAtMs !== undefined && (observation?.receivedAtMs ?? 0) > doubtedAtMs) delete peer.doubtedAtMs;
  return peer.doubtedAtMs;
}

/** The machine slept: handshakes are older by what the monotonic clock missed. Nothing could be heard meanwhile, which is no silence. */
export function passUnseen(peer: PeerState, missedMs: number): void {
  const { observation } = peer;
  if (!observation) return;
  const before = (atMs: number | undefined) => (atMs === undefined ? undefined : atMs - missedMs);
  const { handshakeAtMs, receivedAtMs } = observation;
  peer.observation = { ...observation, handshakeAtMs: before(handshakeAtMs), receivedAtMs: before(receivedAtMs) };
}

/** By public key, for each look at a device: with a thousand peers, every one of them is looked for several times a look. */
const indexes = new WeakMap<WireGuardDevice, ReadonlyMap<string, WireGuardPeer>>();

/** What a look at the device says about a peer; undefined when the peer is not on it. */
export function findPeer(device: WireGuardDevice, { config }: PeerState): WireGuardPeer | undefined {
  const index = indexes.get(device) ?? new Map(device.peers.map((peer) => [keyText(peer), peer]));
  indexes.set(device, index);
  return index.get(keyText(config));
}

/**
 * What the loop before knew about a peer: everything while its configuration is still the same, else what protects against
 * old records, which belongs to its key.
 */
export function keepStates(
  before: ReadonlyMap<string, PeerState> = new Map(),
): (peer: PeerConfig) => PeerState | undefined {
  const byKey = new Map([...before.values()].map((state) => [keyText(state.config), state]));
  return (peer) => {
    const state = byKey.get(keyText(peer));
    if (!state || isDeepStrictEqual(state.config, peer)) return state;
    const { sequence, recordSequence, aheadSequence } = state;
    return Object.assign(createPeerState(peer), { sequence, recordSequence, aheadSequence });
  };
}

function keyText({ publicKey }: { readonly publicKey: Uint8Array }): string {
  return Buffer.from(publicKey.buffer, publicKey.byteOffset, publicKey.length).toString("latin1");
}
