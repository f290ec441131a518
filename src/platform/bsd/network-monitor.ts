/**
 * Watches the network of this host by a routing socket, and passes on what is a change of its addresses, routes or links.
 *
 * It keeps no list of what there is: a message is a change, but for neighbours, routes the kernel makes by itself, what was
 * refused, and links that are as they were. What was forgotten is told once too often, never too seldom. route(4).
 */

import { MAX_ADDRESS_BYTES } from "../native/libc.ts";
import { watchReadable } from "../native/readable.ts";
import { systemCallFailed } from "../native/system-error.ts";
import { createRenewal } from "../renewal.ts";
import type { Closable, NetworkChange, WatchNetworkOptions } from "../types.ts";
import { decodeRouteMessages, type RouteMessage } from "./route-message.ts";
import type { BsdHost } from "./system.ts";

/** More than any message: a longer one arrives cut, and is passed over. */
const READ_BYTES = 4096;
/** After so many reads other work gets its turn. */
const READS_PER_TURN = 128;
/** A burst, as when a tunnel with many allowed IPs comes up, waits here. */
const RECEIVE_BUFFER_BYTES = 1 << 18;

const action = "watch the network";

/** Begins to watch. Throws SYSTEM_CALL_FAILED; never afterwards. */
export function watchNetwork(
  onChange: (what: NetworkChange) => void,
  { host, isIgnored = () => false }: WatchNetworkOptions & { readonly host: BsdHost },
): Closable {
  const { libc, system, koffi, clock } = host;
  const { constants } = system;
  const buffers = { packet: new Uint8Array(READ_BYTES), address: new Uint8Array(MAX_ADDRESS_BYTES) };
  const renewal = createRenewal({ clock, open, onRenewed: () => onChange({ kind: "unknown" }) });
  /** Interfaces that are gone by the time their last messages are read must still be known as what they were. */
  const names = new Map<number, string>();
  const linkStates = new Map<number, string>();
  const notOurs =
    constants.RTF_LLDATA |
    (constants.RTF_WASCLONED ?? 0) |
    constants.RTF_LOCAL |
    constants.RTF_BROADCAST |
    constants.RTF_MULTICAST;
  let isClosed = false;

  function open(): { close(): void } {
    const fd = openRouteSocket(host);
    try {
      for (const { name } of host.readInterfaces()) learnName(name);
      const watch = watchReadable(fd, { koffi, clock, onReadable: () => onReadable(fd) });
      return {
        close() {
          watch.close();
          libc.close(fd);
        },
      };
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  function learnName(name: string): void {
    try {
      names.set(libc.interfaceIndex(name), name);
    } catch {
      // It went away since the list was made.
    }
  }

  function nameOf(index: number): string | undefined {
    const name = index === 0 ? undefined : (libc.interfaceName(index) ?? names.get(index));
    if (name !== undefined) names.set(index, name);
    return name;
  }

  function onReadable(fd: number): void {
    const changes = new Map<string, NetworkChange>();
    const isWhole = readAll(fd, changes);
    for (const change of changes.values()) if (!isClosed) onChange(change);
    if (!isWhole && !isClosed) renewal.renew();
  }

  /** Reads until nothing is left, or for a while. Returns false when the socket does not work any more. */
  function readAll(fd: number, changes: Map<string, NetworkChange>): boolean {
    for (let count = 0; count < READS_PER_TURN; count++) {
      let length: number | undefined;
      try {
        length = libc.receiveChecked(fd, buffers);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "ENOBUFS") return false;
        changes.set("unknown", { kind: "unknown" });
        continue;
      }
      if (length === undefined || length === 0) return true;
      renewal.works();
      for (const message of decodeRouteMessages(buffers.packet.subarray(0, length), system)) {
        const change = changeOf(message);
        if (change) changes.set(`${change.kind} ${change.interface}`, change);
      }
    }
    return true;
  }

  /** The change that a message tells of; undefined when it is none, or one of an interface that is ignored. */
  function changeOf(message: RouteMessage): NetworkChange | undefined {
    const name = message.kind === "announcement" ? message.name : nameOf(message.index);
    if (!isChange(message)) return undefined;
    if (name !== undefined && isIgnored(name)) return undefined;
    const kind = message.kind === "announcement" ? "link" : message.kind;
    return { kind, ...(name !== undefined && name !== "" && { interface: name }) };
  }

  function isChange(message: RouteMessage): boolean {
    switch (message.kind) {
      case "route":
        return message.errno === 0 && (message.flags & notOurs) === 0;
      case "address":
        return true;
      case "link": {
        const isKnown = linkStates.get(message.index) === message.state;
        linkStates.set(message.index, message.state);
        return !isKnown;
      }
      case "announcement":
        // Its number may be another interface's next.
        names.set(message.index, message.name);
        linkStates.delete(message.index);
        return true;
    }
  }

  try {
    renewal.begin();
  } catch (cause) {
    throw systemCallFailed(action, cause);
  }
  return {
    async close() {
      isClosed = true;
      renewal.close();
    },
  };
}

/** A routing socket needs no privilege. Throws the system's error. */
function openRouteSocket({ libc, system }: BsdHost): number {
  const { PF_ROUTE, SOCK_RAW, O_NONBLOCK, SOL_SOCKET, SO_RCVBUF, SO_RERROR } = system.constants;
  const fd = libc.socket({ domain: PF_ROUTE, type: SOCK_RAW, protocol: 0 });
  try {
    libc.setNonBlocking(fd, { nonBlocking: O_NONBLOCK });
    for (const [option, name, int] of [
      [SO_RCVBUF, "SO_RCVBUF", RECEIVE_BUFFER_BYTES],
      [SO_RERROR, "SO_RERROR", 1],
    ] as const) {
      if (option !== undefined) trySetOption({ libc, fd }, { option, name, int, level: SOL_SOCKET });
    }
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** More room than allowed, an option of a later release: it works without, with less notice of what was lost. */
function trySetOption(
  { libc, fd }: { readonly libc: BsdHost["libc"]; readonly fd: number },
  { option, name, int, level }: { option: number; name: string; int: number; level: number },
): void {
  try {
    libc.setsockopt(fd, { level, option, name, value: new Uint8Array(Uint32Array.of(int).buffer) });
  } catch {
    // As said above.
  }
}
