/** Puts one rule around both operations of a store, so that a rule is written once and knows no backend. */
import type { StoreOperation } from "../action.ts";
import type { Store } from "../types.ts";

export interface StoreCall<Result> {
  readonly operation: StoreOperation;
  readonly signal: AbortSignal;
  /** Makes the call. */
  run(signal: AbortSignal): Promise<Result>;
}

/** A store whose calls all go through `around`; watching and closing stay as they are. */
export function wrapStore(store: Store, around: <Result>(call: StoreCall<Result>) => Promise<Result>): Store {
  return {
    ...store,
    // The inner functions are async so that a store that throws instead of rejecting does no harm.
    get: (key, signal) => around({ operation: "get", signal, run: async (inner) => store.get(key, inner) }),
    set: (key, value, signal) =>
      around({ operation: "set", signal, run: async (inner) => store.set(key, value, inner) }),
  };
}
