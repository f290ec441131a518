/**
 * Watches the network of this host: hears what the kernel tells and passes on what is a change.
 *
 * A watch that broke is renewed until it works again, and says then that something may have changed meanwhile.
 */
import type { Clock } from "../../clock.ts";
import { createRenewal } from "../renewal.ts";
import type { Closable, NetworkChange, WatchNetworkOptions } from "../types.ts";
import type { NetlinkMessage } from "./netlink-message.ts";
import { loadNetlink, type Netlink } from "./netlink-socket.ts";
import { createNetworkState } from "./network-state.ts";

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
  const { clock, isIgnored = () => false } = options;
  const netlink = options.netlink ?? (await loadNetlink(clock));
  const state = createNetworkState(isIgnored);
  const renewal = createRenewal({ clock, open, onRenewed: () => onChange({ kind: "unknown" }) });
  let isClosed = false;

  /** Listens first and looks then: what happens in between is heard of once more, but not missed. */
  function open(): { close(): void } {
    const socket = netlink.listen({ onNews, onLost: () => relook(), onBroken: () => renewal.renew() });
    try {
      state.reset(netlink.readState());
    } catch (error) {
      socket.close();
      throw error;
    }
    return socket;
  }

  function onNews(messages: readonly NetlinkMessage[]): void {
    renewal.works();
    const changes = new Map<string, NetworkChange>();
    for (const message of messages) {
      const change = state.apply(message);
      if (change) changes.set(`${change.kind} ${change.interface}`, change);
    }
    for (const change of changes.values()) {
      if (!isClosed) onChange(change);
    }
  }

  /** The kernel's news were lost. */
  function relook(): void {
    try {
      state.reset(netlink.readState());
    } catch {
      // Whatever prevents that is tried anew, like a socket that does not work.
      renewal.renew();
      return;
    }
    onChange({ kind: "unknown" });
  }

  renewal.begin();
  return {
    async close() {
      isClosed = true;
      renewal.close();
    },
  };
}
