/**
 * What happens, told to whoever listens: every line of the log from `info` up, whatever level is written, and every change
 * of a peer's state. A listener must not throw and must not wait: it is called while things happen.
 */
import type { Clock } from "./clock.ts";
import type { Log, LogFields } from "./log.ts";
import type { PeerStateName } from "./status.ts";
import { version } from "./version.ts";

/** A change of a peer's state. */
export interface StateChange {
  readonly interface: string;
  readonly peer: string;
  readonly state: PeerStateName;
  readonly previous: PeerStateName;
  /** Where WireGuard sends the peer's packets. */
  readonly endpoint?: string;
}

/** What a listener gets. `time` is ISO 8601. */
export type DaemonEvent =
  /** The first: from here on nothing is missed. */
  | { readonly time: string; readonly type: "hello"; readonly version: string }
  | ({ readonly time: string; readonly type: "state" } & StateChange)
  | ({
      readonly time: string;
      readonly type: "log";
      readonly level: "info" | "warn" | "error";
      readonly message: string;
    } & LogFields);

export interface Events {
  changed(change: StateChange): void;
  /** A log that writes as `log` does, and tells the listeners. */
  tee(log: Log): Log;
  /** Gives what ends it. */
  subscribe(listener: (event: DaemonEvent) => void): () => void;
}

export function createEvents(clock: Clock): Events {
  const listeners = new Set<(event: DaemonEvent) => void>();
  const time = () => new Date(clock.now()).toISOString();

  function tell(event: DaemonEvent): void {
    for (const listener of listeners) listener(event);
  }

  function tee(log: Log, bound: LogFields = {}): Log {
    const at = (level: "info" | "warn" | "error") => (fields: LogFields, message: string) => {
      log[level](fields, message);
      if (listeners.size > 0) tell({ time: time(), type: "log", level, message, ...bound, ...fields });
    };
    return {
      trace: (fields, message) => log.trace(fields, message),
      debug: (fields, message) => log.debug(fields, message),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      child: (fields) => tee(log.child(fields), { ...bound, ...fields }),
    };
  }

  return {
    changed(change) {
      if (listeners.size > 0) tell({ time: time(), type: "state", ...change });
    },
    tee,
    subscribe(listener) {
      listeners.add(listener);
      listener({ time: time(), type: "hello", version });
      return () => listeners.delete(listener);
    },
  };
}
