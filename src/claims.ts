/**
 * What a daemon holds for each interface as long as it serves it: the lock that keeps a second daemon away, and the
 * memory that survives a restart. Without a usable state directory it goes on without both, and says so once.
 */
import type { Clock } from "./clock.ts";
import { describeError, errorCode } from "./errors.ts";
import type { Log } from "./log.ts";
import { openStateDirectory } from "./state/directory.ts";
import { type InterfaceLock, lockInterface } from "./state/lock.ts";
import { type Memory, openMemory } from "./state/memory.ts";

const LOCK_RETRY_MS = 100;

export interface Claims {
  /** Claims an interface, once. Throws ALREADY_RUNNING. Resolves with its memory, or undefined without a state directory. */
  claim(name: string): Promise<Memory | undefined>;
  /** Gives up every interface that is not in `names`. */
  keepOnly(names: readonly string[]): Promise<void>;
}

interface Claim {
  readonly lock?: InterfaceLock;
  readonly memory?: Memory;
}

export function createClaims(options: {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Log;
  /** How long to wait for a lock: a one-shot command has it for some milliseconds. */
  readonly waitMs: number;
}): Claims {
  const { directory, clock, log, waitMs } = options;
  const claims = new Map<string, Claim>();
  let usable: Promise<boolean> | undefined;

  async function isUsable(): Promise<boolean> {
    try {
      await openStateDirectory(directory);
      return true;
    } catch (error) {
      warn(error);
      return false;
    }
  }

  function warn(error: unknown): void {
    const hint = "goes on without: a second daemon is not noticed, and nothing is remembered over a restart";
    log.warn({ path: directory, err: describeError(error), hint }, "state directory is not usable");
  }

  async function lockPatiently(name: string): Promise<InterfaceLock> {
    const endMs = clock.monotonic() + waitMs;
    for (;;) {
      try {
        return await lockInterface({ directory, interface: name });
      } catch (error) {
        if (errorCode(error) !== "ALREADY_RUNNING" || clock.monotonic() >= endMs) throw error;
        await clock.sleep(LOCK_RETRY_MS);
      }
    }
  }

  async function open(name: string): Promise<Claim> {
    usable ??= isUsable();
    if (!(await usable)) return {};
    const lock = await lockPatiently(name).catch((error: unknown) => {
      if (errorCode(error) !== "STATE_UNAVAILABLE") throw error;
      warn(error);
      return undefined;
    });
    const memory = await openMemory({ directory, interface: name, clock, log: log.child({ interface: name }) });
    return { ...(lock && { lock }), memory };
  }

  return {
    async claim(name) {
      const claim = claims.get(name) ?? (await open(name));
      claims.set(name, claim);
      return claim.memory;
    },
    async keepOnly(names) {
      for (const [name, { lock, memory }] of claims) {
        if (names.includes(name)) continue;
        claims.delete(name);
        await memory?.close();
        await lock?.release();
      }
    },
  };
}
