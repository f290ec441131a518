/** A deadline for every call of a store, whatever the store does with its signal. */
import type { Clock } from "../../clock.ts";
import { withDeadline } from "../../deadline.ts";
import { storeAction } from "../action.ts";
import type { Store } from "../types.ts";
import { wrapStore } from "./wrap.ts";

interface DeadlineOptions {
  /** Name of the plugin instance, for messages. */
  readonly name: string;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** A store whose calls are aborted and reject with TIMEOUT after `timeoutMs`. */
export function limitTime(store: Store, { name, clock, timeoutMs }: DeadlineOptions): Store {
  return wrapStore(store, ({ operation, signal, run }) =>
    withDeadline({ clock, timeoutMs, signal, action: storeAction(operation, name) }, run),
  );
}
