/** Waiting for a condition instead of sleeping. */
import { setTimeout as sleep } from "node:timers/promises";

/**
 * So long is waited for what has to come: a busy machine may take ten times as long as a quiet one, and only what never
 * comes is to fail. How fast things are is measured by `npm run soak` and bench/.
 */
export const PATIENCE_MS = 90_000;

export interface WaitOptions {
  /** What is waited for, as it stands in the error: "a handshake of h1". */
  readonly what: string;
  /** Default PATIENCE_MS. */
  readonly timeoutMs?: number;
  /** Time between two looks, default 20 ms. */
  readonly everyMs?: number;
  readonly signal?: AbortSignal;
}

/**
 * Resolves with what `condition` gives as soon as that is neither undefined, null nor false. Throws when it is not in
 * time; whatever `condition` throws ends the wait.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { what, timeoutMs = PATIENCE_MS, everyMs = 20, signal }: WaitOptions,
): Promise<Exclude<T, undefined | null | false>> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    signal?.throwIfAborted();
    const value = await condition();
    if (value !== undefined && value !== null && value !== false) {
      return value as Exclude<T, undefined | null | false>;
    }
    if (performance.now() >= end) throw new Error(`Cannot see ${what}: not within ${timeoutMs} ms`);
    await sleep(everyMs, undefined, { signal });
  }
}
