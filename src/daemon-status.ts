/** What is known about the daemon as a whole, as others may see it (status.ts). */
import type { Clock } from "./clock.ts";
import type { Config } from "./config/types.ts";
import { describeError } from "./errors.ts";
import type { NamedStore } from "./exchange.ts";
import { failureStatus } from "./peer-status.ts";
import type { DaemonStatus, InterfaceStatus, StoreStatus } from "./status.ts";
import { version } from "./version.ts";

export interface ConfigNotes {
  /** A configuration was taken into use. */
  loaded(config: Config): void;
  /** One was refused. */
  refused(error: unknown): void;
}

/** Keeps what is known about the configuration, and puts the status together. */
export function createDaemonStatus({ clock, first }: { readonly clock: Clock; readonly first: Config }): ConfigNotes & {
  status(interfaces: readonly InterfaceStatus[], stores: ReadonlyMap<string, NamedStore>): DaemonStatus;
} {
  const now = () => new Date(clock.now()).toISOString();
  const startedAt = now();
  let config = first;
  let loadedAt = startedAt;
  let error: string | undefined;

  function storeStatus({ name, kind }: Config["plugins"][number], named: NamedStore | undefined): StoreStatus {
    const { calls = 0, failures = 0, ms = 0, lastFailure } = named?.counts ?? {};
    const lastError = lastFailure && failureStatus(lastFailure, clock);
    return { name, type: kind, calls, failures, seconds: ms / 1000, ...(lastError && { lastError }) };
  }

  return {
    loaded(next) {
      config = next;
      loadedAt = now();
      error = undefined;
    },
    refused(why) {
      error = describeError(why);
    },
    status: (interfaces, stores) => ({
      version,
      pid: process.pid,
      startedAt,
      config: { path: config.path, loadedAt, ...(error !== undefined && { error }) },
      interfaces,
      stores: config.plugins.map((instance) => storeStatus(instance, stores.get(instance.name))),
    }),
  };
}
