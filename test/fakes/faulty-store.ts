/** A store in memory that can be told to fail, hang or be slow. */
import { StunmeshError } from "../../src/errors.ts";
import type { Store, WatchHandlers } from "../../src/plugins/types.ts";
import type { FakeClock } from "./clock.ts";

export interface FaultyStore extends Store {
  readonly values: Map<string, readonly string[]>;
  /** How calls behave from now on. */
  mode: "ok" | "fail" | "hang" | "slow";
  /** Keys whose calls hang, whatever the mode. */
  readonly hanging: Set<string>;
  readonly calls: { get: number; set: number };
}

const SLOW_MS = 5_000;

export function createFaultyStore(clock: FakeClock, { watchable = false } = {}): FaultyStore {
  const values = new Map<string, readonly string[]>();
  const hanging = new Set<string>();
  const calls = { get: 0, set: 0 };
  const watchers = new Set<{ readonly keys: readonly string[]; readonly handlers: WatchHandlers }>();

  async function behave(key: string, signal: AbortSignal): Promise<void> {
    if (store.mode === "hang" || hanging.has(key)) await clock.sleep(2 ** 31, signal);
    if (store.mode === "slow") await clock.sleep(SLOW_MS, signal);
    if (store.mode === "fail") throw new StunmeshError("STORE_FAILED", "Cannot use the store: it was told to fail");
  }

  const store: FaultyStore = {
    values,
    hanging,
    calls,
    mode: "ok",
    async get(key, signal) {
      calls.get++;
      await behave(key, signal);
      return values.get(key) ?? [];
    },
    async set(key, value, signal) {
      calls.set++;
      await behave(key, signal);
      values.set(key, [value]);
      for (const { keys, handlers } of watchers) if (keys.includes(key)) handlers.onChange(key);
    },
    ...(watchable && {
      watch(keys: readonly string[], handlers: WatchHandlers) {
        const watcher = { keys, handlers };
        watchers.add(watcher);
        return { close: () => watchers.delete(watcher) };
      },
    }),
  };
  return store;
}
