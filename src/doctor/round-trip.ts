/**
 * A throw-away value through a store and back.
 *
 * No store can remove a value, so that the keys of a host name are few. Hosts may share their name, and runs their moment:
 * each run begins at a place by chance, and goes on to another one when it finds somebody else's value where its own
 * should be.
 */
import { createHash, randomBytes, randomInt } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Store } from "../plugins/types.ts";

const READ_BACK_EVERY_MS = 500;
/** Keys of one host name: what a store has to keep for ever at most. */
const PLACES = 16;
/** Of them, those that one run writes to at most. */
const MAX_TRIES = 4;

/** What one run writes. */
export interface ThrowAway {
  /** Where, in this order; the first one at once, another when the ones before are somebody else's. */
  readonly keys: readonly [string, ...string[]];
  /** As long and as random as a sealed record. */
  readonly value: string;
}

export interface ReadBackOptions extends ThrowAway {
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** A value of this run's own, and keys that no pair of hosts has. */
export function createThrowAway(hostName: string): ThrowAway {
  const first = randomInt(PLACES);
  const step = 1 + 2 * randomInt(PLACES / 2);
  const key = (nth: number) => throwAwayKey({ hostName, place: (first + nth * step) % PLACES });
  const others = Array.from({ length: MAX_TRIES - 1 }, (_, index) => key(index + 1));
  return { keys: [key(0), ...others], value: randomBytes(69).toString("hex") };
}

function throwAwayKey({ hostName, place }: { readonly hostName: string; readonly place: number }): string {
  return createHash("sha1").update(`stunmesh-ts throw-away ${place} `).update(hostName).digest("hex");
}

/**
 * Reads until `value`, which was written to the first of the keys, is among what comes back: DNS and DHTs need a moment.
 * Where something else comes back it is written to the next key as well. False when it is not in time.
 */
export async function readBack(store: Store, options: ReadBackOptions): Promise<boolean> {
  const { keys, value, timeoutMs, clock, signal } = options;
  const endMs = clock.monotonic() + timeoutMs;
  for (let written = 1; ; ) {
    const found = await Promise.all(keys.slice(0, written).map((key) => store.get(key, signal)));
    if (found.some((values) => values.includes(value))) return true;
    if (clock.monotonic() > endMs) return false;
    const isTaken = (found.at(-1)?.length ?? 0) > 0;
    const next = isTaken ? keys[written] : undefined;
    if (next === undefined) {
      await clock.sleep(READ_BACK_EVERY_MS, signal);
    } else {
      await store.set(next, value, signal);
      written++;
    }
  }
}
