/**
 * Tells the service manager how the daemon is: started, reloading, stopping, alive. See sd_notify(3).
 *
 * No failure of it is one of the daemon: it is a debug line. Without a service manager nothing is opened or loaded.
 */
import { type Clock, monotonicMicroseconds } from "./clock.ts";
import { describeError, isAbort } from "./errors.ts";
import type { Log } from "./log.ts";
import { openUnixDatagram, type UnixDatagram } from "./platform/native/unix-datagram.ts";

/** How often and how long it is tried again while the service manager's queue is full. */
const RETRY_MS = 50;
const MAX_TRIES = 20;
/** How soon a loop that hangs is looked at again, and how often before it is said. */
const HANG_CHECK_MS = 1_000;
const HANGS_UNTIL_SAID = 5;

/** What the service manager wants, from the environment. */
export interface NotifyTarget {
  /** A path, or `@name` for an abstract socket. */
  readonly socket: string;
  /** It wants a sign of life at least this often. */
  readonly watchdogMs?: number;
}

export interface Notifier {
  ready(): void;
  reloading(): void;
  stopping(): void;
  /** One line for a person, shown by `systemctl status`. */
  status(text: string): void;
  /** Resolves when what was said is out, or cannot be. */
  close(): Promise<void>;
}

/**
 * Takes what the service manager left in the environment, and out of it: programs that this one starts must not speak for it.
 * undefined when there is none.
 */
export function takeNotifyTarget(
  environment: Record<string, string | undefined>,
  pid: number,
): NotifyTarget | undefined {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: microseconds = "", WATCHDOG_PID: watched } = environment;
  for (const name of ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]) delete environment[name];
  if (!socket) return undefined;
  const watchdogMs = Number(microseconds) / 1000;
  const isForUs = watchdogMs > 0 && (watched === undefined || watched === String(pid));
  return { socket, ...(isForUs && { watchdogMs }) };
}

interface NotifierOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Interfaces whose loop does not go round any more: then there is no sign of life. */
  hanging(): readonly string[];
}

/** Opens the way to the service manager; without one everything does nothing. Never fails. */
export async function openNotifier(target: NotifyTarget | undefined, options: NotifierOptions): Promise<Notifier> {
  const { clock, log, hanging } = options;
  let sending = Promise.resolve();
  let lastStatus: string | undefined;
  const stop = new AbortController();
  const socket = target && (await open(target.socket, log));

  async function sendPatiently(open: UnixDatagram, text: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        open.send(text);
        return;
      } catch (error) {
        const isFull = (error as NodeJS.ErrnoException).code === "EAGAIN";
        if (!isFull || tries >= MAX_TRIES || stop.signal.aborted) {
          log.debug({ err: describeError(error) }, "service manager not told");
          return;
        }
      }
      await clock.sleep(RETRY_MS);
    }
  }

  function send(...lines: readonly string[]): void {
    if (socket && !stop.signal.aborted) sending = sending.then(() => sendPatiently(socket, lines.join("\n")));
  }

  async function giveSigns(everyMs: number): Promise<void> {
    for (let hangs = 0; ; ) {
      const names = hanging();
      hangs = names.length > 0 ? hangs + 1 : 0;
      if (hangs === 0) send("WATCHDOG=1");
      // Not at once: after a pause of the whole machine the loops need a moment, too.
      if (hangs === HANGS_UNTIL_SAID)
        log.error({ names }, "interface hangs: the watchdog is not told that all is well");
      await clock.sleep(hangs === 0 ? everyMs : Math.min(everyMs, HANG_CHECK_MS), stop.signal);
    }
  }

  if (socket && target.watchdogMs !== undefined) {
    giveSigns(target.watchdogMs / 2).catch((error: unknown) => {
      if (!isAbort(error)) log.debug({ err: describeError(error) }, "service manager not told");
    });
  }

  return {
    ready: () => send("READY=1"),
    reloading: () => send("RELOADING=1", `MONOTONIC_USEC=${monotonicMicroseconds()}`),
    stopping: () => send("STOPPING=1"),
    status(text) {
      if (text === lastStatus) return;
      lastStatus = text;
      send(`STATUS=${text.replaceAll(/\s+/g, " ")}`);
    },
    async close() {
      stop.abort();
      await sending;
      socket?.close();
    },
  };
}

async function open(name: string, log: Log): Promise<UnixDatagram | undefined> {
  try {
    return await openUnixDatagram(name);
  } catch (error) {
    log.debug({ err: describeError(error) }, "service manager not told");
    return undefined;
  }
}
