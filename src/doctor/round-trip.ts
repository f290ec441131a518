/** A throw-away value through a store and back. */
import { createHash, randomBytes } from "node:crypto";
import type { Clock } from "../clock.ts";
import type { Store } from "../plugins/types.ts";

const READ_BACK_EVERY_MS = 500;

export interface ReadBackOptions {
  readonly key: string;
  readonly value: string;
  readonly timeoutMs: number;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** As long and as random as a sealed record. */
export function throwAwayValue(): string {
  return randomBytes(69).toString("hex");
}

/** A key that no pair of hosts has; the same for the same text, so that a store does not fill up with them. */
export function throwAwayKey(text: string): string {
  return createHash("sha1").update("stunmesh-ts throw-away").update(text).digest("hex");
}

/** Reads until `value` is among what comes back: DNS and DHTs need a moment. False when it is not in time. */
export async function readBack(store: Store, options: ReadBackOptions): Promise<boolean> {
  const { key, value, timeoutMs, clock, signal } = options;
  const endMs = clock.monotonic() + timeoutMs;
  for (;;) {
    if ((await store.get(key, signal)).includes(value)) return true;
    if (clock.monotonic() > endMs) return false;
    await clock.sleep(READ_BACK_EVERY_MS, signal);
  }
}
