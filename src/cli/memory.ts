/** The memory of an interface for commands that run once, possibly beside a daemon that has it already. */
import { createClaims } from "../claims.ts";
import { systemClock } from "../clock.ts";
import type { Config } from "../config/types.ts";
import { errorCode } from "../errors.ts";
import type { Log } from "../log.ts";
import type { PeerState } from "../peer-state.ts";
import { recall, remember } from "../remember.ts";
import { selectStateDirectory } from "../state/directory.ts";
import type { WireGuardDevice } from "../wg/types.ts";

export interface OnceMemory {
  /** Fills in what is remembered of the peers. */
  recall(device: WireGuardDevice, peers: readonly PeerState[]): void;
  /** Has what is known written; resolves when it is, or cannot be. */
  save(device: WireGuardDevice, peers: readonly PeerState[]): Promise<void>;
}

export interface OnceMemories {
  /** Nothing is remembered when a daemon serves the interface: the memory is its own then. */
  open(name: string): Promise<OnceMemory | undefined>;
  close(): Promise<void>;
}

export function openMemories({
  config,
  log,
  platform,
}: {
  readonly config: Config;
  readonly log: Log;
  readonly platform: string;
}): OnceMemories {
  const directory = selectStateDirectory({ configured: config.stateDirectory, environment: process.env, platform });
  const claims = createClaims({ directory, clock: systemClock, log });
  return {
    async open(name) {
      try {
        const memory = await claims.claim(name);
        if (!memory) return undefined;
        return {
          recall: (device, peers) => recall(memory, { device, peers }),
          async save(device, peers) {
            remember(memory, { device, peers });
            await memory.flush();
          },
        };
      } catch (error) {
        if (errorCode(error) !== "ALREADY_RUNNING") throw error;
        return undefined;
      }
    },
    close: () => claims.keepOnly([]),
  };
}
