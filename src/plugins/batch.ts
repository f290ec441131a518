/**
 * Looks that begin at nearly the same time, asked for together: a daemon fetches the records of all its peers at once, and
 * some services answer one question about many keys as fast as one about one.
 *
 * Nothing is kept: a look that begins after the window of a batch gets a batch of its own.
 */

import { abortable } from "../abortable.ts";
import type { Clock } from "../clock.ts";

/** How long the first look waits for others. */
const WINDOW_MS = 20;

interface BatchOptions<Result> {
  readonly clock: Clock;
  /** Answers all looks of a batch. Its signal is aborted when nobody waits any more. */
  load(keys: readonly string[], signal: AbortSignal): Promise<Result>;
}

interface Batch<Result> {
  readonly keys: Set<string>;
  /** Aborts `result` when the last one leaves. */
  readonly controller: AbortController;
  readonly result: Promise<Result>;
  waiting: number;
}

/**
 * A function that answers a look at one key by what `load` says of the whole batch. Rejects as `load` does, for all in the
 * batch; who is aborted leaves alone, with the reason of its own signal.
 */
export function createBatches<Result>({
  clock,
  load,
}: BatchOptions<Result>): (key: string, signal: AbortSignal) => Promise<Result> {
  let open: Batch<Result> | undefined;

  function begin(): Batch<Result> {
    const keys = new Set<string>();
    const controller = new AbortController();
    async function run(): Promise<Result> {
      await clock.sleep(WINDOW_MS, controller.signal);
      if (open === batch) open = undefined;
      return load([...keys], controller.signal);
    }
    const batch: Batch<Result> = { keys, controller, result: run(), waiting: 0 };
    return batch;
  }

  return async (key, signal) => {
    signal.throwIfAborted();
    open ??= begin();
    const batch = open;
    batch.keys.add(key);
    batch.waiting++;
    try {
      return await abortable(batch.result, signal);
    } finally {
      batch.waiting--;
      if (batch.waiting === 0) {
        // Nobody may join what is about to be aborted.
        if (open === batch) open = undefined;
        batch.controller.abort(signal.reason);
      }
    }
  };
}
