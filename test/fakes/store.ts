/** A store in memory whose calls a test can hold, answer and fail one by one. */
import type { Store } from "../../src/plugins/types.ts";

interface HeldCall {
  readonly operation: "get" | "set";
  readonly key: string;
  readonly signal: AbortSignal;
  /** Ends the call as the memory would. */
  succeed(): void;
  fail(error: unknown): void;
}

export interface FakeStore extends Store {
  /** Calls so far, in order, as `get <key>`. */
  readonly calls: readonly string[];
  /** Calls that have not ended, oldest first; only filled while `hold` is true. */
  readonly held: readonly HeldCall[];
  /** True: calls wait for the test, and ignore their signals, as the worst backend does. */
  hold: boolean;
  /** Set: every call that is not held fails with it. */
  error: unknown;
  readonly isClosed: boolean;
}

export function createFakeStore(): FakeStore {
  const values = new Map<string, string>();
  const calls: string[] = [];
  const held: HeldCall[] = [];
  let isClosed = false;

  function run<Result>(call: Pick<HeldCall, "operation" | "key" | "signal">, work: () => Result): Promise<Result> {
    calls.push(`${call.operation} ${call.key}`);
    if (!store.hold) return store.error === undefined ? Promise.resolve(work()) : Promise.reject(store.error);
    return new Promise((resolve, reject) => {
      const entry: HeldCall = {
        ...call,
        succeed() {
          held.splice(held.indexOf(entry), 1);
          resolve(work());
        },
        fail(error) {
          held.splice(held.indexOf(entry), 1);
          reject(error);
        },
      };
      held.push(entry);
    });
  }

  const store: FakeStore = {
    calls,
    held,
    hold: false,
    error: undefined,
    get isClosed() {
      return isClosed;
    },
    get: (key, signal) => run({ operation: "get", key, signal }, () => (values.has(key) ? [values.get(key)!] : [])),
    set: (key, value, signal) => run({ operation: "set", key, signal }, () => void values.set(key, value)),
    watch: () => ({ close: () => undefined }),
    async close() {
      isClosed = true;
    },
  };
  return store;
}
