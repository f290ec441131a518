/** Publishing to a peer and fetching what it published, through its store. Knows nothing of endpoints in WireGuard. */
import { type EndpointRecord, formatTransportAddress, selectEndpoints } from "./address.ts";
import type { Clock } from "./clock.ts";
import { StunmeshError } from "./errors.ts";
import type { Log, LogFields } from "./log.ts";
import type { PeerState } from "./peer-state.ts";
import type { Store } from "./plugins/types.ts";
import { isPublishDue, type Occasion } from "./publishing.ts";
import {
  checkFresh,
  nextSequence,
  openRecord,
  type PeerRecord,
  sameEndpoints,
  sealRecord,
  storageKey,
} from "./record.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** A store as the configuration names it, opened. */
export interface NamedStore {
  readonly name: string;
  readonly store: Store;
  readonly dedup: boolean;
  readonly maxValueChars?: number | undefined;
  readonly expiresAfterMs?: number | undefined;
}

export interface ExchangeDeps {
  readonly stores: ReadonlyMap<string, NamedStore>;
  readonly clock: Clock;
  readonly log: Log;
  /** Has the sequence numbers written to the disk; resolves when they are, or cannot be. */
  readonly saveSequence?: (() => Promise<void>) | undefined;
}

interface ExchangeOptions {
  readonly device: WireGuardDevice;
  /** Own addresses, as discovered. */
  readonly own: EndpointRecord | undefined;
  readonly signal: AbortSignal;
}

/** Seals `own` for the peer and writes it, unless what is in the store already will do. Throws what the store throws. */
export async function publishRecord(
  peer: PeerState,
  options: ExchangeOptions & ExchangeDeps & { readonly occasion: Occasion },
): Promise<"published" | "unchanged"> {
  const { device, own, occasion, clock, log, signal } = options;
  const { store, name, dedup, maxValueChars, expiresAfterMs } = storeOf(peer, options.stores);
  const { published } = peer;
  if (!own) throw new StunmeshError("STUN_NO_ANSWER", "Cannot publish: the own address is not known");
  const monotonicMs = clock.monotonic();
  if (!isPublishDue({ own, published, occasion, dedup, expiresAfterMs, monotonicMs })) return "unchanged";
  const direction = { senderKey: device.publicKey, receiverKey: peer.config.publicKey };
  const sequence = nextSequence(clock.now(), peer.sequence);
  const sealed = sealRecord(
    { endpoints: own, ...(sequence !== undefined && { sequence }) },
    { ...direction, privateKey: device.privateKey, maxChars: maxValueChars },
  );
  if (sequence !== undefined) {
    peer.sequence = sequence;
    // On the disk before it is in the store: after a restart the next one has to be higher.
    await options.saveSequence?.();
  }
  await store.set(storageKey(direction), sealed, signal);
  peer.published = { endpoints: own, atMs: monotonicMs };
  const line = { peer: peer.config.name, plugin: name, ...recordFields(own) };
  if (sameEndpoints(own, published?.endpoints)) log.debug(line, "endpoint published");
  else log.info(line, "endpoint published");
  return "published";
}

/**
 * Reads what the peer published and keeps it when it is good and not older than what is known. Several values are all
 * looked at, so that a junk one cannot hide the real one. Throws RECORD_* for the first bad value when none is good, and
 * what the store throws; the record known before is kept then.
 */
export async function fetchRecord(
  peer: PeerState,
  options: ExchangeOptions & ExchangeDeps,
): Promise<"changed" | "unchanged" | "absent"> {
  const { device, own, log, signal } = options;
  const { store } = storeOf(peer, options.stores);
  const direction = { senderKey: peer.config.publicKey, receiverKey: device.publicKey };
  const values = await store.get(storageKey(direction), signal);
  if (values.length === 0) return "absent";
  const record = selectRecord(values, (value) => {
    const opened = openRecord(value, { ...direction, privateKey: device.privateKey });
    checkFresh(opened, { sequence: peer.recordSequence, own });
    checkFamily(opened.endpoints, peer);
    return opened;
  });
  const changed = !sameEndpoints(record.endpoints, peer.record?.endpoints);
  peer.record = record;
  delete peer.fallback;
  if (record.sequence !== undefined) peer.recordSequence = record.sequence;
  const line = { peer: peer.config.name, ...recordFields(record.endpoints) };
  if (changed) log.info(line, "record fetched");
  else log.debug(line, "record fetched");
  return changed ? "changed" : "unchanged";
}

/** Where the peer publishes for this device: the key to watch. */
export function lookupKey(peer: PeerState, device: WireGuardDevice): string {
  return storageKey({ senderKey: peer.config.publicKey, receiverKey: device.publicKey });
}

/** The good record with the highest sequence number; the first of several without. Throws the first error when none is good. */
function selectRecord(values: readonly string[], open: (value: string) => PeerRecord): PeerRecord {
  let best: PeerRecord | undefined;
  let firstError: unknown;
  for (const value of values) {
    try {
      const record = open(value);
      if (!best || (record.sequence ?? 0) > (best.sequence ?? 0)) best = record;
    } catch (error) {
      firstError ??= error;
    }
  }
  if (!best) throw firstError;
  return best;
}

function checkFamily(endpoints: EndpointRecord, { config }: PeerState): void {
  if (selectEndpoints(endpoints, config.protocol).length > 0) return;
  const has = [endpoints.ipv4 && "IPv4", endpoints.ipv6 && "IPv6"].filter(Boolean).join(" and ") || "no";
  throw new StunmeshError(
    "RECORD_NO_FAMILY",
    `Cannot use a record: it has ${has} address only, the peer's protocol is "${config.protocol}"`,
  );
}

function storeOf({ config }: PeerState, stores: ReadonlyMap<string, NamedStore>): NamedStore {
  const store = stores.get(config.plugin);
  if (store) return store;
  throw new StunmeshError("CONFIG_INVALID", `Cannot exchange records: there is no plugin "${config.plugin}"`);
}

function recordFields({ ipv4, ipv6 }: EndpointRecord): LogFields {
  return {
    ...(ipv4 && { ipv4: formatTransportAddress(ipv4) }),
    ...(ipv6 && { ipv6: formatTransportAddress(ipv6) }),
  };
}
