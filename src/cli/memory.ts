/** The memory of an interface for commands that run once, possibly beside a daemon that has it already. */
import { createClaims } from "../claims.ts";
import { systemClock } from "../clock.ts";
import type { Config } from "../config/types.ts";
import { errorCode } from "../errors.ts";
import type { Log } from "../log.ts";
import type { PeerState } from "../peer-state.ts";
import { type Remembered, recall, remember } from "../remember.ts";
import { selectStateDirectory } from "../state/directory.ts";
import type { WireGuardDevice } from "../wg/types.ts";

export interface OnceMemory {
  /** Fills in what is remembered of the peers. */
  recall(device: WireGuardDevice, peers: readonly PeerState[]): Promise<void>;
  /** Has what is known written; resolves when it is, or cannot be. */
  save(device: WireGuardDevice, peers: readonly PeerState[]): Promise<void>;
}

/**
 * The memory of an interface for one command. The lock is held only while memory is read or written: a daemon that starts
 * meanwhile is not kept from it. Nothing is remembered when a daemon serves the interface: the memory is its own then.
 */
export function openMemory(name: string, options: MemoryOptions): OnceMemory {
  const directory = selectStateDirectory({
    configured: options.config.stateDirectory,
    environment: process.env,
    platform: options.platform,
  });

  async function use(run: (memory: Remembered) => void): Promise<void> {
    const claims = createClaims({ directory, clock: systemClock, log: options.log, waitMs: 0 });
    try {
      const memory = await claims.claim(name);
      if (memory) run(memory);
    } catch (error) {
      if (errorCode(error) !== "ALREADY_RUNNING") throw error;
    } finally {
      await claims.keepOnly([]);
    }
  }

  return {
    recall: (device, peers) => use((memory) => recall(memory, { device, peers })),
    save: (device, peers) => use((memory) => remember(memory, { device, peers })),
  };
}

interface MemoryOptions {
  readonly config: Config;
  readonly log: Log;
  /** Name of the operating system. */
  readonly platform: string;
}
