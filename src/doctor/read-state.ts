/**
 * Reads what a daemon has left in the state directory: whether one runs, and what it remembers. Unlike the daemon it creates
 * nothing there and sets nothing aside.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { errorCode } from "../errors.ts";
import { lockInterface } from "../state/lock.ts";
import { decodeMemory, MAX_MEMORY_BYTES, type PeerMemory } from "../state/memory-text.ts";
import { readPrivateFile } from "../state/private-file.ts";

interface StateOptions {
  readonly directory: string;
  /** As the configuration names it. */
  readonly interface: string;
}

/** "process 531" when a daemon serves the interface; undefined when none does, or that cannot be known. */
export async function readServedBy(options: StateOptions): Promise<string | undefined> {
  // Taking the lock would create it, and the directory may not be ours to write to.
  if (!existsSync(join(options.directory, `${options.interface}.lock`))) return undefined;
  try {
    const lock = await lockInterface(options);
    await lock.release();
    return undefined;
  } catch (error) {
    if (errorCode(error) !== "ALREADY_RUNNING" || !(error instanceof Error)) return undefined;
    return /(process \d+) does already/.exec(error.message)?.[1] ?? "another process";
  }
}

/** What is remembered of the peers, by public key in base64; nothing when it is of another device key or unreadable. */
export async function readRemembered(
  options: StateOptions & { readonly publicKey: Uint8Array },
): Promise<ReadonlyMap<string, PeerMemory>> {
  try {
    const text = await readPrivateFile(join(options.directory, `${options.interface}.json`), MAX_MEMORY_BYTES);
    const memory = text === undefined ? undefined : decodeMemory(text);
    return memory && Buffer.compare(memory.publicKey, options.publicKey) === 0 ? memory.peers : new Map();
  } catch {
    // Damaged, or not ours to read: the daemon says so itself, here it is only one more thing that is not known.
    return new Map();
  }
}
