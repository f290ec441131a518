/**
 * Watches the network of this host: hears what the kernel tells and passes on what is a change.
 *
 * A watch that broke is renewed until it works again, and says then that something may have changed meanwhile.
 */
import type { Clock } from "../../clock.ts";
import { isAbort } from "../../errors.ts";
import type { Closable, NetworkChange, WatchNetworkOptions } from "../types.ts";
import type { NetlinkMessage } from "./netlink-message.ts";
import { loadNetlink, type Netlink } from "./netlink-socket.ts";
import { createNetworkState } from "./network-state.ts";

const RENEW_FIRST_MS = 1_000;
const RENEW_MAX_MS = 60_000;

export interface MonitorOptions extends WatchNetworkOptions {
  readonly clock: Clock;
  /** Default: the kernel's. */
  readonly netlink?: Netlink;
}

/** Begins to watch. Throws SYSTEM_CALL_FAILED or NATIVE_UNAVAILABLE; never afterwards. */
export async function watchNetwork(
  onChange: (what: NetworkChange) => void,
  options: MonitorOptions,
): Promise<Closable> {
  const { clock, ignore = [] } = options;
  const netlink = options.netlink ?? (await loadNetlink(clock));
  const state = createNetworkState(ignore);
  const closed = new AbortController();
  let socket: { close(): void } | undefined;
  let renewInMs = RENEW_FIRST_MS;

  /** Listens first and looks then: what happens in between is heard of once more, but not missed. */
  function begin(): void {
    socket = netlink.listen({ onNews, onLost: () => relook(), onBroken: () => renew() });
    try {
      state.reset(netlink.readState());
    } catch (error) {
      stop();
      throw error;
    }
  }

  function stop(): void {
    socket?.close();
    socket = undefined;
  }

  function onNews(messages: readonly NetlinkMessage[]): void {
    renewInMs = RENEW_FIRST_MS;
    const changes = new Map<string, NetworkChange>();
    for (const message of messages) {
      const change = state.apply(message);
      if (change) changes.set(`${change.kind} ${change.interface}`, change);
    }
    for (const change of changes.values()) {
      if (!closed.signal.aborted) onChange(change);
    }
  }

  /** The kernel's news were lost. */
  function relook(): void {
    try {
      state.reset(netlink.readState());
    } catch {
      // Whatever prevents that is tried anew, like a socket that does not work.
      renew();
      return;
    }
    onChange({ kind: "unknown" });
  }

  function renew(): void {
    stop();
    const delayMs = renewInMs;
    renewInMs = Math.min(renewInMs * 2, RENEW_MAX_MS);
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
        onChange({ kind: "unknown" });
      },
      (error: unknown) => {
        if (!isAbort(error)) throw error;
      },
    );
  }

  begin();
  return {
    async close() {
      closed.abort();
      stop();
    },
  };
}
