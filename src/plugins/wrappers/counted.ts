/** Counts the calls that reach a backend, and how long they take: for status and metrics. */
import type { Clock } from "../../clock.ts";
import type { Store, StoreCounts } from "../types.ts";
import { wrapStore } from "./wrap.ts";

/** Counts that go on. */
export type GrowingCounts = { -readonly [name in keyof StoreCounts]: StoreCounts[name] };

/** A store that counts its calls in `counts`. A call that its caller stopped is counted, but is no failure. */
export function countCalls(
  store: Store,
  { counts, clock }: { readonly counts: GrowingCounts; readonly clock: Clock },
): Store {
  return wrapStore(store, async ({ signal, run }) => {
    const startMs = clock.monotonic();
    counts.calls++;
    try {
      return await run(signal);
    } catch (error) {
      if (!signal.aborted) {
        counts.failures++;
        counts.lastFailure = { atMs: clock.monotonic(), error };
      }
      throw error;
    } finally {
      counts.ms += clock.monotonic() - startMs;
    }
  });
}
