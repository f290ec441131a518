/**
 * Publishing to a peer and fetching what it published, through all of its stores. Knows nothing of endpoints in WireGuard.
 *
 * Stores are asked at the same time. One that fails is logged, once while it lasts, and one that is slow or dead delays
 * nothing that another can do.
 */
import { noteSequence } from "./activity.ts";
import { type EndpointRecord, formatTransportAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import { StunmeshError } from "./errors.ts";
import type { FailureLog } from "./failures.ts";
import type { Log, LogFields } from "./log.ts";
import { type PeerState, writtenTo } from "./peer-state.ts";
import type { Store, StoreCounts } from "./plugins/types.ts";
import { isPublishDue, type Occasion } from "./publishing.ts";
import { type NatClass, type PeerRecord, sameEndpoints, sealRecord, storageKey } from "./record.ts";
import { selectGood, selectNewest } from "./select-record.ts";
import { acceptSequence, markAbove, nextSequence } from "./sequence.ts";
import { freeStoresOf, settleStores, throwFirst, tryStore } from "./store-calls.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** A store as the configuration names it, opened. */
export interface NamedStore {
  readonly name: string;
  readonly store: Store;
  readonly dedup: boolean;
  readonly maxValueChars?: number | undefined;
  readonly expiresAfterMs?: number | undefined;
  /** Calls that reached the backend. */
  readonly counts?: StoreCounts | undefined;
}

export interface ExchangeDeps {
  readonly stores: ReadonlyMap<string, NamedStore>;
  readonly clock: Clock;
  readonly log: Log;
  readonly failures: FailureLog;
  /** Has the sequence numbers written to the disk; resolves when they are, or cannot be. */
  readonly saveSequence?: (() => Promise<void>) | undefined;
  /** Addresses of the tunnel on this host, which no peer can be at. */
  readonly tunnelAddresses?: (() => readonly string[]) | undefined;
  /** A slow store had another record of the peer after fetchRecord() had gone on without it: the next one takes it. */
  readonly onLateRecord?: ((peer: PeerState) => void) | undefined;
}

interface ExchangeOptions extends ExchangeDeps {
  readonly device: WireGuardDevice;
  /** Own addresses, as discovered. */
  readonly own: EndpointRecord | undefined;
  /** Wait for every store, as a command does that ends afterwards. @default false */
  readonly waitForAll?: boolean | undefined;
  readonly signal: AbortSignal;
}

/**
 * Seals `own` for the peer and writes it to every store in which that is due. Throws the first error when a store failed,
 * after all were tried.
 */
export async function publishRecord(
  peer: PeerState,
  options: ExchangeOptions & { readonly occasion: Occasion; readonly nat?: NatClass | undefined },
): Promise<"published" | "unchanged"> {
  const { device, own, nat, occasion, clock, log } = options;
  if (!own) throw new StunmeshError("STUN_NO_ANSWER", "Cannot publish: the own address is not known");
  const monotonicMs = clock.monotonic();
  const direction = { senderKey: device.publicKey, receiverKey: peer.config.publicKey };
  const key = storageKey(direction);
  const due = freeStoresOf(peer, { ...options, what: "publish" }).filter(({ name, store, dedup, expiresAfterMs }) => {
    const published = writtenTo(peer.published.get(name), { storageKey: key, store });
    return isPublishDue({ own, nat, published, occasion, dedup, expiresAfterMs, monotonicMs });
  });
  if (due.length === 0) return "unchanged";
  const record = { endpoints: own, ...(nat && { nat }), ...(await takeSequence(peer, options)) };
  const results = due.map((named) =>
    tryStore(named, { ...options, peer, what: "publish" }, async (store, signal) => {
      const { privateKey } = device;
      const sealed = sealRecord(record, { ...direction, privateKey, maxChars: named.maxValueChars });
      await store.set(key, sealed, signal);
      const before = peer.published.get(named.name);
      peer.published.set(named.name, { endpoints: own, nat, atMs: monotonicMs, storageKey: key, store });
      const line = { peer: peer.config.name, plugin: named.name, ...recordFields(own) };
      if (sameEndpoints(own, before?.endpoints)) log.debug(line, "endpoint published");
      else log.info(line, "endpoint published");
      return true;
    }),
  );
  throwFirst(await settleStores(results, options));
  return "published";
}

/** The next own sequence number, on the disk before it is in a store: after a restart the next one has to be higher. */
async function takeSequence(
  peer: PeerState,
  { clock, saveSequence }: ExchangeOptions,
): Promise<Pick<PeerRecord, "sequence">> {
  const sequence = nextSequence(clock.now(), peer.sequence);
  if (sequence === undefined) return {};
  peer.sequence = sequence;
  await saveSequence?.();
  return { sequence };
}

/**
 * Reads what the peer published and keeps the freshest good record, if it is not older than what is known. Several values
 * are all looked at, so that a junk one cannot hide the real one. Throws the first error (RECORD_* for a bad value) when no
 * store has a good record; the record known before is kept then.
 */
export async function fetchRecord(
  peer: PeerState,
  options: ExchangeOptions,
): Promise<"changed" | "unchanged" | "absent"> {
  const { device, log, clock } = options;
  const direction = { senderKey: peer.config.publicKey, receiverKey: device.publicKey };
  const key = storageKey(direction);
  let isLate = false;
  const lookups = freeStoresOf(peer, { ...options, what: "fetch" }).map((named) =>
    tryStore(named, { ...options, peer, what: "fetch" }, async (store, signal) => {
      const values = await store.get(key, signal);
      if (values.length === 0) return false;
      const own = { own: options.own, tunnel: options.tunnelAddresses?.() };
      const judge = { peer, direction, privateKey: device.privateKey, ...own, nowMs: clock.now() };
      const record = selectGood(values, judge);
      peer.found.push({ key, record });
      if (isLate && wouldChange(record, judge)) options.onLateRecord?.(peer);
      return true;
    }),
  );
  const results = await settleStores(lookups, options);
  isLate = true;
  // Also what a slow store found after an earlier look had gone on without it, unless something newer was accepted since.
  const found = peer.found.splice(0).flatMap((one) => (one.key === key ? one.record : []));
  const record = selectNewest(found, { peer, nowMs: clock.now() });
  if (!record) {
    throwFirst(results);
    return "absent";
  }
  const changed = !sameEndpoints(record.endpoints, peer.record?.endpoints);
  const isNew = changed || record.sequence !== peer.record?.sequence;
  if (isNew) peer.newsAtMs = clock.monotonic();
  peer.record = record;
  delete peer.fallback;
  const now = { atMs: clock.monotonic(), wallMs: clock.now() };
  if (record.sequence !== undefined) {
    Object.assign(peer, acceptSequence(record.sequence, { marks: peer, nowMs: now.wallMs }));
  }
  peer.activity.recordAtMs = now.atMs;
  if (record.sequence !== undefined) {
    noteSequence(peer.activity, { sequence: record.sequence, now, isOnlyStore: peer.config.plugins.length === 1 });
  }
  const line = { peer: peer.config.name, ...recordFields(record.endpoints) };
  if (changed) log.info(line, "record fetched");
  else log.debug(line, "record fetched");
  return changed ? "changed" : "unchanged";
}

/** True when `record` would change what is known of the peer. */
function wouldChange(
  { endpoints, sequence }: PeerRecord,
  { peer, nowMs }: { readonly peer: PeerState; readonly nowMs: number },
): boolean {
  const isOld = sequence !== undefined && markAbove(sequence, { marks: peer, nowMs }) !== undefined;
  return !isOld && !sameEndpoints(endpoints, peer.record?.endpoints);
}

/** Where the peer publishes for this device: the key to watch. */
export function lookupKey(peer: PeerState, device: WireGuardDevice): string {
  return storageKey({ senderKey: peer.config.publicKey, receiverKey: device.publicKey });
}

function recordFields({ ipv4, ipv6 }: EndpointRecord): LogFields {
  return {
    ...(ipv4 && { ipv4: formatTransportAddress(ipv4) }),
    ...(ipv6 && { ipv6: formatTransportAddress(ipv6) }),
  };
}
