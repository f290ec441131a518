/** A kernel's routing side that says what a test wants and counts what is open. */
import type { NetlinkMessage } from "../../src/platform/linux/netlink-message.ts";
import type { Netlink, NewsHandlers } from "../../src/platform/linux/netlink-socket.ts";

export interface FakeNetlink extends Netlink {
  /** What readState() gives. */
  state: readonly NetlinkMessage[];
  /** Makes listen() or readState() fail until it is set to undefined again. */
  failing: "listen" | "readState" | undefined;
  /** Sockets that were opened, and those that still are. */
  readonly opened: number;
  readonly open: number;
  /** Speaks to the socket that is open. */
  readonly speak: NewsHandlers;
}

export function createFakeNetlink(): FakeNetlink {
  const listeners = new Set<NewsHandlers>();
  let opened = 0;
  function refuse(): never {
    throw Object.assign(new Error("ENOBUFS"), { code: "ENOBUFS" });
  }
  return {
    state: [],
    failing: undefined,
    get opened() {
      return opened;
    },
    get open() {
      return listeners.size;
    },
    speak: {
      onNews: (messages) => {
        for (const listener of listeners) listener.onNews(messages);
      },
      onLost: () => {
        for (const listener of listeners) listener.onLost();
      },
      onBroken: (error) => {
        for (const listener of listeners) listener.onBroken(error);
      },
    },
    listen(handlers) {
      if (this.failing === "listen") refuse();
      opened++;
      listeners.add(handlers);
      return { close: () => listeners.delete(handlers) };
    },
    readState() {
      return this.failing === "readState" ? refuse() : this.state;
    },
  };
}
