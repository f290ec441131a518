/** Watches the stores that can say "changed" for the records of the peers of one interface. */
import { describeError } from "./errors.ts";
import { lookupKey, type NamedStore } from "./exchange.ts";
import type { Log } from "./log.ts";
import type { PeerState } from "./peer-state.ts";
import type { WireGuardDevice } from "./wg/types.ts";

export interface StoreWatch {
  /** Watches for the records of `peers` of `device`, and for no others any more. */
  update(device: WireGuardDevice, peers: readonly PeerState[]): void;
  close(): void;
}

/** A watch that breaks is logged once and not renewed before the next update: polling goes on in any case. */
export function createStoreWatch(options: {
  readonly stores: ReadonlyMap<string, NamedStore>;
  readonly log: Log;
  onChange(peer: PeerState): void;
}): StoreWatch {
  const { stores, log, onChange } = options;
  let watches: readonly { close(): void }[] = [];

  function close(): void {
    for (const watch of watches) watch.close();
    watches = [];
  }

  return {
    close,
    update(device, peers) {
      close();
      const opened: { close(): void }[] = [];
      for (const [name, { store }] of stores) {
        const byKey = new Map(
          peers.filter(({ config }) => config.plugins.includes(name)).map((peer) => [lookupKey(peer, device), peer]),
        );
        if (!store.watch || byKey.size === 0) continue;
        opened.push(
          store.watch([...byKey.keys()], {
            onChange(key) {
              const peer = byKey.get(key);
              if (peer) onChange(peer);
            },
            onError(error) {
              log.debug({ plugin: name, err: describeError(error) }, "store is not watched any more, only polled");
            },
          }),
        );
      }
      watches = opened;
    },
  };
}
