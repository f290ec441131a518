/**
 * Looks at our own places in the stores. Another host with this interface's key, as after copying a machine, writes there:
 * people are told. And a place that lacks what was written is written again at the next refresh, whatever the memory says:
 * a store that was emptied or rolled back does not announce it.
 *
 * One `get` in each store for a peer that has not been reachable for 20 s, and one more every 5 min while it stays so; one
 * at a time, and none for a peer that works.
 */
import { formatAddresses } from "./address.ts";
import { foreignRecord } from "./causes.ts";
import type { Clock } from "./clock.ts";
import { withDeadline } from "./deadline.ts";
import { describeError, errorCode, isAbort } from "./errors.ts";
import type { NamedStore } from "./exchange.ts";
import type { Log } from "./log.ts";
import { type PeerState, type Written, writtenTo } from "./peer-state.ts";
import type { Publication } from "./publishing.ts";
import { openOwnRecord, type PeerRecord, sameEndpoints, storageKey } from "./record.ts";
import { freshest } from "./select-record.ts";
import type { WireGuardDevice } from "./wg/types.ts";

const FIRST_LOOK_MS = 20_000;
const NEXT_LOOK_MS = 300_000;
const LOOK_TIMEOUT_MS = 10_000;
/** Until then a store may still show what was there before. */
const SETTLED_MS = 120_000;

export interface OwnSlot {
  /** To be called after each look at the device, with those of the peers that are on it. */
  looked(device: WireGuardDevice, peers: readonly PeerState[]): void;
}

export function createOwnSlot(options: {
  readonly stores: ReadonlyMap<string, NamedStore>;
  readonly clock: Clock;
  readonly log: Log;
  /** Has the end of the loop wait for `work`, which never rejects. */
  track(work: Promise<void>): void;
  readonly signal: AbortSignal;
}): OwnSlot {
  const { stores, clock, log, track, signal } = options;
  const silentSince = new Map<PeerState, number>();
  const lookedAt = new Map<PeerState, number>();
  let isBusy = false;
  let isWarned = false;

  function isDue(peer: PeerState, nowMs: number): boolean {
    const silentMs = nowMs - (silentSince.get(peer) ?? nowMs);
    return silentMs >= FIRST_LOOK_MS && nowMs - (lookedAt.get(peer) ?? -Infinity) >= NEXT_LOOK_MS;
  }

  async function look(peer: PeerState, device: WireGuardDevice): Promise<void> {
    lookedAt.set(peer, clock.monotonic());
    const found: PeerRecord[] = [];
    let isRead = false;
    for (const place of placesOf(peer, { device, stores })) {
      const records = await readPlace(place, { peer, device });
      // Written again meanwhile: what was read may be from before or after.
      if (!records || peer.published.get(place.plugin) !== place.publication) continue;
      isRead = true;
      const ageMs = clock.monotonic() - place.publication.atMs;
      found.push(...records.filter((record) => isForeign(record, { peer, ageMs, own: place.publication })));
      const isThere = records.some(({ endpoints }) => sameEndpoints(endpoints, place.publication.endpoints));
      if (!isThere && ageMs >= SETTLED_MS) doubt(peer, place);
    }
    if (isRead) note(peer, found.reduce<PeerRecord | undefined>(freshest, undefined));
  }

  /** What opens with our key of what is there; undefined when that cannot be known now. */
  async function readPlace(
    { plugin, publication }: Place,
    { peer, device }: { readonly peer: PeerState; readonly device: WireGuardDevice },
  ): Promise<readonly PeerRecord[] | undefined> {
    const direction = { senderKey: device.publicKey, receiverKey: peer.config.publicKey };
    const action = "look at the own record";
    try {
      const values = await withDeadline({ clock, timeoutMs: LOOK_TIMEOUT_MS, signal, action }, (signal) =>
        publication.store.get(publication.storageKey, signal),
      );
      return values.flatMap((value) => openOwn(value, { ...direction, privateKey: device.privateKey }) ?? []);
    } catch (error) {
      if (isAbort(error)) return undefined;
      log.debug({ peer: peer.config.name, plugin, err: describeError(error) }, "own record not read");
      // It answers, in something else than its protocol: it may have answered the write like that.
      return errorCode(error) === "STORE_REPLY_INVALID" ? [] : undefined;
    }
  }

  function doubt(peer: PeerState, { plugin, publication }: Place): void {
    peer.published.set(plugin, { ...publication, isDoubted: true });
    log.debug({ peer: peer.config.name, plugin }, "own record is not in the store: it is written again");
  }

  function note(peer: PeerState, foreign: PeerRecord | undefined): void {
    if (!foreign) {
      delete peer.activity.foreign;
      return;
    }
    const reason = formatAddresses(foreign.endpoints).join(" and ");
    peer.activity.foreign = reason;
    const { hint } = foreignRecord(reason);
    const line = { peer: peer.config.name, reason: `the store has ${reason}`, hint };
    if (isWarned) log.debug(line, "another host publishes with this interface's key");
    else log.warn(line, "another host publishes with this interface's key");
    isWarned = true;
  }

  return {
    looked(device, peers) {
      const nowMs = clock.monotonic();
      for (const peer of peers) {
        if (peer.liveness === "alive") {
          silentSince.delete(peer);
          delete peer.activity.foreign;
        } else if (!silentSince.has(peer)) {
          silentSince.set(peer, nowMs);
        }
      }
      const due = isBusy
        ? undefined
        : peers.find((peer) => isDue(peer, nowMs) && placesOf(peer, { device, stores }).length > 0);
      if (!due) return;
      isBusy = true;
      track(
        look(due, device).finally(() => {
          isBusy = false;
        }),
      );
    },
  };
}

interface Place {
  readonly plugin: string;
  readonly publication: Written;
}

/** The stores that should have our record for the peer, and are not being written to now. */
function placesOf(
  { config, published, underWay }: PeerState,
  { device, stores }: { readonly device: WireGuardDevice; readonly stores: ReadonlyMap<string, NamedStore> },
): readonly Place[] {
  const key = storageKey({ senderKey: device.publicKey, receiverKey: config.publicKey });
  return [...published].flatMap(([plugin, written]) => {
    const store = stores.get(plugin)?.store;
    const publication = store && writtenTo(written, { storageKey: key, store });
    return publication && !underWay.has(`publish ${plugin}`) ? [{ plugin, publication }] : [];
  });
}

/** Undefined for what does not open with our key: then it is not one of somebody who has it. */
function openOwn(value: string, options: Parameters<typeof openOwnRecord>[1]): PeerRecord | undefined {
  try {
    return openOwnRecord(value, options);
  } catch {
    return undefined;
  }
}

/**
 * Other addresses than ours, with a later number than we ever used, or with none. A lower number proves nothing: a store
 * may show an older record of ours.
 */
function isForeign(
  { endpoints, sequence }: PeerRecord,
  { peer, ageMs, own }: { readonly peer: PeerState; readonly ageMs: number; readonly own: Publication },
): boolean {
  if (sameEndpoints(endpoints, own.endpoints)) return false;
  return sequence === undefined ? ageMs >= SETTLED_MS : sequence > (peer.sequence ?? 0);
}
