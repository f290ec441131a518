/**
 * Calls back when a descriptor has something to read, from Node's own event loop: no thread, nothing blocked.
 *
 * `koffi.node.poll` is libuv's uv_poll_t. koffi's documentation does not mention it, so it is used in this file alone, and
 * where it does not exist the descriptor is looked at on a timer instead. What was seen of it (3.3): the callback gets
 * libuv's status and then the events, whatever its types say; it runs outside Node's callback scope; a handle that is
 * garbage-collected stops; start() on a closed handle and a descriptor that is not open end the process. See uv_poll in libuv's documentation.
 */
import type { Clock } from "../../clock.ts";
import { isAbort } from "../../errors.ts";

/** How long a datagram can lie unread without koffi.node.poll: 1 % of a core while a descriptor is open. */
const FALLBACK_INTERVAL_MS = 20;

interface PollHandle {
  start(events: { readonly readable: boolean }, callback: (status: unknown) => void): void;
  close(): void;
}

type Poll = (fd: number, events: { readonly readable: boolean }, callback: (status: unknown) => void) => PollHandle;

interface WatchOptions {
  readonly koffi: { readonly node?: { readonly poll?: Poll } };
  readonly clock: Clock;
  /** Must read without blocking, until nothing is left or for a while: it is called again for what it leaves. */
  onReadable(): void;
}

export interface ReadableWatch {
  /** Stops: onReadable is not called again and the process may exit. To be called before the descriptor is closed. */
  close(): void;
}

/** Watches `fd`, an open socket, until closed, and keeps the process alive so long. Never calls back before it returns. */
export function watchReadable(fd: number, { koffi, clock, onReadable }: WatchOptions): ReadableWatch {
  const poll = koffi.node?.poll;
  return poll ? watchByPoll(fd, { poll, onReadable }) : watchByTimer({ clock, onReadable });
}

/** Calls `onReadable` every `everyMs` instead, for what no descriptor tells. */
export function watchByTimer({
  clock,
  onReadable,
  everyMs = FALLBACK_INTERVAL_MS,
}: Pick<WatchOptions, "clock" | "onReadable"> & { readonly everyMs?: number }): ReadableWatch {
  const stop = new AbortController();
  async function run() {
    for (;;) {
      await clock.sleep(everyMs, stop.signal);
      onReadable();
    }
  }
  run().catch((error: unknown) => {
    if (!isAbort(error)) throw error;
  });
  return { close: () => stop.abort() };
}

/** Nothing else refers to a handle while its owner waits, and a collected handle stops. */
const openHandles = new Set<PollHandle>();

function watchByPoll(
  fd: number,
  { poll, onReadable }: { readonly poll: Poll; readonly onReadable: () => void },
): ReadableWatch {
  const events = { readable: true };
  let closed = false;
  let scheduled = false;
  function onEvent(status: unknown) {
    if (scheduled || closed) return;
    scheduled = true;
    // In this same turn of the loop, but as an ordinary callback: promises settle, and a throw is an uncaught exception.
    setImmediate(() => {
      scheduled = false;
      if (!closed) onReadable();
      // libuv stops watching a descriptor with a pending error; onReadable has just taken the error away.
      if (!closed && typeof status === "number" && status < 0) handle.start(events, onEvent);
    });
  }
  const handle = poll(fd, events, onEvent);
  openHandles.add(handle);
  return {
    close() {
      if (closed) return;
      closed = true;
      openHandles.delete(handle);
      handle.close();
    },
  };
}
