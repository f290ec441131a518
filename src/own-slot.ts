/**
 * Notices another host with this interface's key, as after copying a machine: it writes into our own place in the store.
 *
 * One `get` for a peer that has not been reachable for 20 s, and one more every 5 min while it stays so; one at a time, and
 * none for a peer that works. Nothing is decided by what is found: people are told.
 */
import { formatAddresses } from "./address.ts";
import { foreignRecord } from "./causes.ts";
import type { Clock } from "./clock.ts";
import { withDeadline } from "./deadline.ts";
import { describeError, isAbort } from "./errors.ts";
import type { NamedStore } from "./exchange.ts";
import type { Log } from "./log.ts";
import type { PeerState } from "./peer-state.ts";
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
    const place = placeOf(peer);
    const store = place && stores.get(place.plugin)?.store;
    if (!store) return;
    lookedAt.set(peer, clock.monotonic());
    const direction = { senderKey: device.publicKey, receiverKey: peer.config.publicKey };
    const action = "look at the own record";
    try {
      const values = await withDeadline({ clock, timeoutMs: LOOK_TIMEOUT_MS, signal, action }, (signal) =>
        store.get(storageKey(direction), signal),
      );
      // Written again meanwhile: what was read may be from before or after.
      if (placeOf(peer)?.publication !== place.publication) return;
      const newest = values
        .flatMap((value) => openOwn(value, { ...direction, privateKey: device.privateKey }) ?? [])
        .reduce<PeerRecord | undefined>(freshest, undefined);
      const ageMs = clock.monotonic() - place.publication.atMs;
      note(peer, newest && isForeign(newest, { peer, ageMs, own: place.publication }) ? newest : undefined);
    } catch (error) {
      if (!isAbort(error)) log.debug({ peer: peer.config.name, err: describeError(error) }, "own record not read");
    }
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
      const due = isBusy ? undefined : peers.find((peer) => isDue(peer, nowMs) && placeOf(peer));
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

/** A store that has our record for the peer, and is not being written to now; undefined when there is none. */
function placeOf({
  published,
  underWay,
}: PeerState): { readonly plugin: string; readonly publication: Publication } | undefined {
  for (const [plugin, publication] of published) {
    if (!underWay.has(`publish ${plugin}`)) return { plugin, publication };
  }
  return undefined;
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
