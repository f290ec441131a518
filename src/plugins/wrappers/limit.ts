/** A limit to the calls of a store that run at the same time. The others wait in line, first come, first served. */
import type { Store } from "../types.ts";
import { wrapStore } from "./wrap.ts";

/**
 * A store of which at most `concurrency` calls run at a time. An aborted call leaves the line at once. The line is as long
 * as its callers make it: everyone in it is awaited by someone.
 */
export function limitConcurrency(store: Store, { concurrency }: { readonly concurrency: number }): Store {
  let running = 0;
  const line = new Set<() => void>();

  async function enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (running < concurrency) {
      running++;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      function admit() {
        signal.removeEventListener("abort", leave);
        resolve();
      }
      function leave() {
        line.delete(admit);
        reject(signal.reason);
      }
      line.add(admit);
      signal.addEventListener("abort", leave, { once: true });
    });
  }
  /** Hands the place to the next in line, or gives it up. */
  function exit(): void {
    const [next] = line;
    if (!next) {
      running--;
      return;
    }
    line.delete(next);
    next();
  }

  return wrapStore(store, async ({ signal, run }) => {
    await enter(signal);
    try {
      return await run(signal);
    } finally {
      exit();
    }
  });
}
