/**
 * Calls of several stores for one peer: at the same time, each logged once while it fails, and none waited for because
 * another is dead.
 */
import { noteStoreCall } from "./activity.ts";
import type { Clock } from "./clock.ts";
import { settledWithin } from "./deadline.ts";
import { isAbort, StunmeshError } from "./errors.ts";
import type { FailureLog } from "./failures.ts";
import type { PeerState } from "./peer-state.ts";
import type { Store } from "./plugins/types.ts";

/** After one store did what was wanted, how long the others are waited for: one of them may have a fresher record. */
const OTHER_STORES_WAIT_MS = 500;
/** After one had nothing. What comes later is not lost: it wakes the peer. */
const AFTER_NOTHING_WAIT_MS = 2_000;

interface CallOptions {
  readonly clock: Clock;
  readonly failures: FailureLog;
  /** Wait for every store, as a command does that ends afterwards. @default false */
  readonly waitForAll?: boolean | undefined;
  readonly signal: AbortSignal;
}

/**
 * The results of calls of several stores, as far as they are there: once one store did what was wanted (true), the others
 * are waited for a little only, and a little longer when it had nothing; they go on alone. A dead store then does not cost
 * its whole deadline.
 */
export async function settleStores(
  calls: readonly Promise<boolean>[],
  { clock, signal, waitForAll = false }: Pick<CallOptions, "clock" | "signal" | "waitForAll">,
): Promise<readonly PromiseSettledResult<boolean>[]> {
  const results: PromiseSettledResult<boolean>[] = [];
  const all = Promise.all(
    calls.map((call) =>
      call.then(
        (value) => results.push({ status: "fulfilled", value }),
        (reason: unknown) => results.push({ status: "rejected", reason }),
      ),
    ),
  );
  if (waitForAll) await all;
  await Promise.any(calls).catch(() => undefined);
  const wanted = Promise.any([all, ...calls.map(async (call) => (await call) || Promise.reject(new Error("nothing")))]);
  await settledWithin(wanted, { clock, ms: AFTER_NOTHING_WAIT_MS, signal });
  await settledWithin(all, { clock, ms: OTHER_STORES_WAIT_MS, signal });
  return [...results];
}

/** Runs a call of one store; a failure is logged with the store's name and thrown on. */
export async function tryStore(
  { name, store }: { readonly name: string; readonly store: Store },
  options: CallOptions & { readonly peer: PeerState; readonly what: "publish" | "fetch" },
  run: (store: Store, signal: AbortSignal) => Promise<boolean>,
): Promise<boolean> {
  const { peer, what, failures, clock, signal } = options;
  const fields = { peer: peer.config.name, plugin: name };
  const key = `${what} ${peer.config.name} ${name}`;
  const call = `${what} ${name}`;
  peer.underWay.add(call);
  try {
    const isDone = await run(store, signal);
    noteStoreCall(peer.activity, { what, store: name, failure: undefined });
    failures.ended(key, { message: `${what} works again`, fields });
    return isDone;
  } catch (error) {
    if (!isAbort(error)) {
      noteStoreCall(peer.activity, { what, store: name, failure: { atMs: clock.monotonic(), error } });
      const before = peer.published.get(name);
      if (what === "publish" && before) peer.published.set(name, { ...before, isDoubted: true });
      failures.failed(key, error, { message: `${what} failed`, fields });
    }
    throw error;
  } finally {
    peer.underWay.delete(call);
  }
}

/** The stores of a peer, without those that are still busy with an earlier call of the same kind for it. */
export function freeStoresOf<T extends { readonly name: string }>(
  { config, underWay }: PeerState,
  { stores, what }: { readonly stores: ReadonlyMap<string, T>; readonly what: "publish" | "fetch" },
): readonly T[] {
  const named = config.plugins.map((name) => {
    const store = stores.get(name);
    if (!store) throw new StunmeshError("CONFIG_INVALID", `Cannot exchange records: there is no plugin "${name}"`);
    return store;
  });
  return named.filter(({ name }) => !underWay.has(`${what} ${name}`));
}

/** Throws the first failure, if there was one. */
export function throwFirst(results: readonly PromiseSettledResult<boolean>[]): void {
  const failed = results.find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}
