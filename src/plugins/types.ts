/**
 * The storage seam: two operations on text, keyed by 40 hexadecimal characters.
 */
import type * as z from "zod";
import type { Clock } from "../clock.ts";

/** An opened storage backend. Calls may run at the same time. */
export interface Store {
  /**
   * Every value found under `key`, best (newest) first; empty when nobody has published yet, which is normal and no
   * error. Throws STORE_UNAVAILABLE when the backend as a whole cannot be used now, STORE_FAILED when this call failed,
   * STORE_REPLY_INVALID when the answer makes no sense; rejects with the signal's reason when aborted.
   */
  get(key: string, signal: AbortSignal): Promise<readonly string[]>;
  /** Replaces the value under `key`. Throws as get does. */
  set(key: string, value: string, signal: AbortSignal): Promise<void>;
  /**
   * Calls `onChange(key)` soon after one of `keys` got a new value, until closed. Only a hint that saves polling: it
   * may call too often, and never reports a failure other than through `onError` (once; it is closed then).
   */
  watch?(keys: readonly string[], handlers: WatchHandlers): { close(): void };
  /** Releases what the store holds. Calls under way are aborted by their own signals. */
  close?(): Promise<void>;
}

/** Calls of a store that reached its backend, counted since it was opened. */
export interface StoreCounts {
  readonly calls: number;
  readonly failures: number;
  /** How long all calls took together. */
  readonly ms: number;
  /** The last failure, also when calls went well after it. */
  readonly lastFailure?: { readonly atMs: number; readonly error: unknown };
}

export interface WatchHandlers {
  onChange(key: string): void;
  onError(error: unknown): void;
}

/** A storage backend before it is opened: one entry of the table in plugins/index.ts. */
export interface Plugin<Schema extends z.ZodType = z.ZodType> {
  /**
   * Checks the options of a `plugins.<name>` block, without the keys every plugin has (type, name, dedup, timeout, ...). Its
   * messages never contain a value, which may be a secret.
   */
  readonly schema: Schema;
  /** Longest value this backend keeps in one piece; undefined = no limit that matters. */
  readonly maxValueChars?: number;
  /** Values vanish after this time by themselves. */
  readonly expiresAfterMs?: number;
  open(options: z.output<Schema>, context: PluginContext): Store;
}

export interface PluginContext {
  /** Folder of the config file, which paths in it are relative to; undefined = the working directory. */
  readonly directory?: string;
  /** Name of the instance in the config file, for messages. */
  readonly name: string;
  readonly clock: Clock;
}
