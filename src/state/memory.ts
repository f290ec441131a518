/**
 * What the daemon knows about an interface's peers, kept across restarts: one file per interface.
 *
 * A restarted daemon can so try the last addresses at once, still refuses records that are older than those accepted
 * before, and never uses a sequence number twice or goes back with its own, on which the peers would refuse its records.
 * Invariant for the last: a number is on the disk before it is in the store. Keeping a reserve of numbers instead does not
 * work: they are seconds since 1970, so the next one is any distance ahead of the last written one, and a host
 * without a battery clock may come back from a power failure with an earlier time. So the caller saves and then awaits
 * flush() before it publishes, which is rare; everything else is written at most every 5 s.
 *
 * Invariant: nothing here ever fails or stops the caller. What cannot be read is set aside, what cannot be written is
 * tried again with the next save; both are logged, once.
 */
import { join } from "node:path";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { isAbort, StunmeshError } from "../errors.ts";
import { createFailureLog } from "../failures.ts";
import type { Log } from "../log.ts";
import {
  decodeMemory,
  encodeMemory,
  type InterfaceMemory,
  keepNumbers,
  MAX_MEMORY_BYTES,
  type PeerMemory,
} from "./memory-text.ts";
import { readPrivateFile, removeLeftovers, replacePrivateFile, setAside } from "./private-file.ts";

const WRITE_INTERVAL_MS = 5_000;
/** A disk that does not answer must not keep a host from being found. */
const DISK_TIMEOUT_MS = 2_000;

export interface Memory {
  /** What was saved last about the peers, here or in a run before, by public key in base64; nothing when it is of another device key. */
  load(devicePublicKey: Uint8Array): ReadonlyMap<string, PeerMemory>;
  /** Has `take` called, and what it gives written, now or at most 5 s later; the last `take` wins. Costs nothing. */
  save(take: () => InterfaceMemory): void;
  /** Resolves when what was saved is on the disk, or cannot be written, at most after 2 s. Never rejects. */
  flush(): Promise<void>;
  /** Writes what was saved and stops. Never rejects. */
  close(): Promise<void>;
}

interface MemoryOptions {
  /** Opened with openStateDirectory. */
  readonly directory: string;
  readonly interface: string;
  readonly clock: Clock;
  /** That of the interface. */
  readonly log: Log;
}

/** Reads what is remembered of an interface. Never rejects: what cannot be used is as good as nothing. */
export async function openMemory(options: MemoryOptions): Promise<Memory> {
  const { directory, clock, log } = options;
  const path = join(directory, `${options.interface}.json`);
  const failures = createFailureLog(log);
  const stop = new AbortController();
  const stored = await readStored(path, { clock, log });
  let known = stored;
  let saved: (() => InterfaceMemory) | undefined;
  let isPending = false;
  let isScheduled = false;
  let writing: Promise<void> | undefined;
  let writtenAtMs = Number.NEGATIVE_INFINITY;
  let writtenText: string | undefined;

  /** What was saved last. */
  function current(): InterfaceMemory | undefined {
    if (saved) known = keepNumbers(saved(), known);
    return known;
  }

  async function write(): Promise<void> {
    try {
      const memory = current();
      if (!memory) return;
      const text = encodeMemory(memory);
      // Most saves change nothing, and flash memory wears out.
      if (text !== writtenText) await replacePrivateFile(path, text);
      writtenText = text;
      failures.ended("write", { message: "memory is written again" });
    } catch (error) {
      isPending = true;
      reportFailure(error);
    } finally {
      writtenAtMs = clock.monotonic();
    }
  }

  /** Those who come during a write share the next one, which has what all of them saved. */
  async function writePending(): Promise<void> {
    while (writing !== undefined) await writing;
    if (!isPending) return;
    isPending = false;
    writing = write().finally(() => {
      writing = undefined;
    });
    await writing;
  }

  async function writeLater(): Promise<void> {
    try {
      await clock.sleep(Math.max(0, writtenAtMs + WRITE_INTERVAL_MS - clock.monotonic()), stop.signal);
    } catch (error) {
      if (isAbort(error)) return;
      throw error;
    }
    isScheduled = false;
    await writePending();
  }

  async function flush(): Promise<void> {
    if (!isPending && !writing) return;
    try {
      await withDeadline({ clock, timeoutMs: DISK_TIMEOUT_MS, action: "write to the disk" }, writePending);
    } catch (error) {
      reportFailure(error);
    }
  }

  function reportFailure(cause: unknown): void {
    const why = cause instanceof Error ? cause.message : String(cause);
    const error = new StunmeshError("STATE_UNAVAILABLE", `Cannot write "${path}": ${why}`, { cause });
    failures.failed("write", error, {
      message: "memory not written",
      fields: { hint: "goes on without, and tries again" },
    });
  }

  return {
    load(devicePublicKey) {
      const last = current();
      if (!last) return new Map();
      if (Buffer.compare(last.publicKey, devicePublicKey) === 0) return last.peers;
      log.debug({ path, reason: "it is of another device key" }, "memory ignored");
      return new Map();
    },
    save(take) {
      if (stop.signal.aborted) return;
      saved = take;
      isPending = true;
      if (isScheduled) return;
      isScheduled = true;
      void writeLater();
    },
    flush,
    async close() {
      stop.abort();
      await flush();
    },
  };
}

async function readStored(
  path: string,
  { clock, log }: { readonly clock: Clock; readonly log: Log },
): Promise<InterfaceMemory | undefined> {
  async function read(): Promise<InterfaceMemory | undefined> {
    await removeLeftovers(path);
    try {
      const text = await readPrivateFile(path, MAX_MEMORY_BYTES);
      return text === undefined ? undefined : decodeMemory(text);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      const problem = await setAside(path).then(
        () => undefined,
        (failure: unknown) => `; not set aside: ${failure}`,
      );
      log.warn(
        { path, code: "STATE_UNAVAILABLE", reason: `${why}${problem ?? ""}` },
        problem === undefined ? "memory not usable, set aside" : "memory not usable",
      );
      return undefined;
    }
  }
  try {
    return await withDeadline({ clock, timeoutMs: DISK_TIMEOUT_MS, action: `read "${path}"` }, read);
  } catch (error) {
    log.warn({ path, code: "STATE_UNAVAILABLE", reason: String(error) }, "memory not usable");
    return undefined;
  }
}
