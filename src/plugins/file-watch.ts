/**
 * Watches the directory of a `file` store: inotify(7), kqueue(2) or FSEvents by fs.watch.
 *
 * Only a hint: changes that another machine makes on a shared file system are often not reported (NFS, sshfs), and kqueue
 * says only that something in the directory changed, which then counts for every key.
 */
import { type FSWatcher, statSync, watch } from "node:fs";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import type { Clock } from "../clock.ts";
import { StunmeshError } from "../errors.ts";
import type { WatchHandlers } from "./types.ts";

/** Several events of one change count once. */
const DEBOUNCE_MS = 50;
/** How often a directory that is not there yet is looked for. */
const APPEARS_POLL_MS = 1000;

interface WatchDirectoryOptions {
  readonly directory: string;
  /** Names of the files that matter. */
  readonly keys: readonly string[];
  readonly handlers: WatchHandlers;
  readonly clock: Clock;
  /** Name of the plugin instance, for messages. */
  readonly name: string;
}

/**
 * Reports changes of the files `keys` until closed. A directory that does not exist is waited for; one that is removed while
 * it is watched ends the watching with one `onError`.
 */
export function watchDirectory({ directory, keys, handlers, clock, name }: WatchDirectoryOptions): { close(): void } {
  const wanted = new Set(keys);
  const pending = new Set<string>();
  const closed = new AbortController();
  let watcher: FSWatcher | undefined;
  let identity = "";

  function close() {
    closed.abort();
    watcher?.close();
  }
  function fail(cause: unknown) {
    if (closed.signal.aborted) return;
    close();
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "it was removed";
    const message = `Cannot watch plugin "${name}": directory "${directory}": ${code}`;
    handlers.onError(new StunmeshError("STORE_UNAVAILABLE", message, { cause }));
  }

  function report(key: string) {
    if (pending.has(key)) return;
    pending.add(key);
    clock.sleep(DEBOUNCE_MS, closed.signal).then(
      () => {
        pending.delete(key);
        if (!closed.signal.aborted) handlers.onChange(key);
      },
      () => undefined,
    );
  }
  function onEvent(fileName: string | null) {
    if (fileName !== null && wanted.has(fileName)) {
      report(fileName);
      return;
    }
    // Without a name, or with the directory's own (kqueue, and inotify when the directory itself changed): anything may have.
    if (fileName !== null && fileName !== basename(directory)) return;
    for (const key of wanted) report(key);
    stat(directory).then(
      (entry) => {
        // Removed and made again: the watcher still hangs on the old one and would be silent for ever.
        if (identify(entry) !== identity) fail(undefined);
      },
      () => fail(undefined),
    );
  }

  /** False when the directory does not exist. */
  function start(): boolean {
    try {
      identity = identify(statSync(directory));
      watcher = watch(directory, (_event, fileName) => onEvent(fileName));
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
      // Not from within the caller's own call: it has nothing to close yet.
      queueMicrotask(() => fail(error));
      return true;
    }
    watcher.on("error", fail);
    return true;
  }
  async function waitForDirectory(): Promise<void> {
    do await clock.sleep(APPEARS_POLL_MS, closed.signal);
    while (!start());
    // What appeared may have brought its files with it.
    for (const key of wanted) report(key);
  }

  if (!start()) waitForDirectory().catch((error: unknown) => closed.signal.aborted || fail(error));
  return { close };
}

/** Inode numbers alone are given out again at once by some file systems. */
function identify({ ino, birthtimeMs }: { readonly ino: number; readonly birthtimeMs: number }): string {
  return `${ino} ${birthtimeMs}`;
}
