/**
 * Keeps something going that the system can break: begins it, and begins it anew after growing pauses until it works again.
 */
import type { Clock } from "../clock.ts";
import { isAbort } from "../errors.ts";

const RENEW_FIRST_MS = 1_000;
const RENEW_MAX_MS = 60_000;

export interface Renewal {
  /** Begins. Throws what `open` throws. */
  begin(): void;
  /** It broke: closes it and begins anew, later and as often as it takes. */
  renew(): void;
  /** It works: the next pause is a short one again. */
  works(): void;
  /** Closes it for good. */
  close(): void;
}

/** Creates a renewal of what `open` opens. `onRenewed` is called each time it works again, for what was missed meanwhile. */
export function createRenewal(options: {
  readonly clock: Clock;
  open(): { close(): void };
  onRenewed(): void;
}): Renewal {
  const { clock } = options;
  const closed = new AbortController();
  let current: { close(): void } | undefined;
  let pauseMs = RENEW_FIRST_MS;

  function stop(): void {
    current?.close();
    current = undefined;
  }

  function begin(): void {
    current = options.open();
  }

  function renew(): void {
    stop();
    const delayMs = pauseMs;
    pauseMs = Math.min(pauseMs * 2, RENEW_MAX_MS);
    clock.sleep(delayMs, closed.signal).then(
      () => {
        if (closed.signal.aborted) return;
        try {
          begin();
        } catch {
          // Tried again later, and as long as it takes: the daemon looks at the network on its timers meanwhile.
          renew();
          return;
        }
        options.onRenewed();
      },
      (error: unknown) => {
        if (!isAbort(error)) throw error;
      },
    );
  }

  return {
    begin,
    renew,
    works() {
      pauseMs = RENEW_FIRST_MS;
    },
    close() {
      closed.abort();
      stop();
    },
  };
}
