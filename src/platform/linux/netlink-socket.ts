/**
 * Sockets to the kernel's routing side: one that hears of every change, and short-lived ones that ask what there is.
 *
 * Asking has a socket of its own, so that answers and news do not mix and news cannot crowd out an answer. Neither needs a
 * privilege. netlink(7), rtnetlink(7).
 */
import type { Clock } from "../../clock.ts";
import { loadKoffi } from "../native/koffi.ts";
import { type Libc, loadLibc } from "../native/libc.ts";
import { watchReadable } from "../native/readable.ts";
import { systemCallFailed, systemError } from "../native/system-error.ts";
import { decodeNetlink, encodeDumpRequest, type NetlinkMessage, RTM_GETADDR, RTM_GETLINK } from "./netlink-message.ts";
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_RAW, setReceiveBuffer } from "./socket-options.ts";

const AF_NETLINK = 16;
const NETLINK_ROUTE = 0;
/** RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE: not RTMGRP_NEIGH. */
const GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
const SOCKADDR_NL_BYTES = 12;
/** The kernel fills at most 32 KiB with one answer; news are single messages, a few kB at the longest. */
const DATAGRAM_MAX_BYTES = 1 << 16;
/** About 2,500 messages, which the kernel counts as 800 bytes each, of twice this. */
const RECEIVE_BUFFER_BYTES = 1 << 20;
/** After so many datagrams other work gets its turn. */
const DATAGRAMS_PER_TURN = 256;
/** So many answers are not the network's state any more but a fault of the kernel. */
const ANSWERS_MAX = 100_000;

export interface NewsHandlers {
  /** What was read in one turn of the event loop. Must not throw; may close. */
  onNews(messages: readonly NetlinkMessage[]): void;
  /** Something happened that nobody can tell: the kernel had more to say than there was room for. Must not throw; may close. */
  onLost(): void;
  /** The socket is of no use any more, and is to be closed. Called once. Must not throw. */
  onBroken(error: unknown): void;
}

/** The routing side of the kernel. */
export interface Netlink {
  /** Hears of every change from now until closed. Throws SYSTEM_CALL_FAILED. */
  listen(handlers: NewsHandlers): { close(): void };
  /** All links and then all addresses there are now. Throws SYSTEM_CALL_FAILED. */
  readState(): readonly NetlinkMessage[];
}

/** Loads what is needed and opens nothing yet. Throws NATIVE_UNAVAILABLE. */
export async function loadNetlink(clock: Clock): Promise<Netlink> {
  const libc = await loadLibc();
  const koffi = await loadKoffi();
  const buffers = { packet: new Uint8Array(DATAGRAM_MAX_BYTES), address: new Uint8Array(SOCKADDR_NL_BYTES) };
  const names = koffi.os.errno;

  /** One datagram of the kernel; valid until the next is read. */
  function receive(fd: number): Uint8Array | undefined {
    for (;;) {
      const length = libc.receiveChecked(fd, buffers);
      if (length === undefined) return undefined;
      // struct sockaddr_nl { u16 family, padding; u32 port, groups }: port 0 is the kernel, all others are processes.
      if (new Uint32Array(buffers.address.buffer)[1] === 0) return buffers.packet.subarray(0, length);
    }
  }

  function ask(fd: number, type: number): readonly NetlinkMessage[] {
    libc.send(fd, { bytes: encodeDumpRequest(type), address: encodeAddress(0) });
    const found: NetlinkMessage[] = [];
    // The kernel has the next answer ready before it hands one out: this waits for nothing.
    for (let count = 0; count < ANSWERS_MAX; count++) {
      const datagram = receive(fd);
      if (!datagram) break;
      for (const message of decodeNetlink(datagram).messages) {
        if (message.kind !== "end") found.push(message);
        else if (message.errno === 0) return found;
        else throw systemError("netlink", { errno: message.errno, names });
      }
    }
    throw new Error("the answer has no end");
  }

  return {
    listen: (handlers) => listen(handlers, { libc, koffi, clock, receive }),
    readState() {
      const fd = openSocket(libc, 0);
      try {
        return [...ask(fd, RTM_GETLINK), ...ask(fd, RTM_GETADDR)];
      } catch (cause) {
        throw systemCallFailed("read the state of the network", cause);
      } finally {
        libc.close(fd);
      }
    },
  };
}

interface ListenDeps {
  readonly libc: Libc;
  readonly koffi: Parameters<typeof watchReadable>[1]["koffi"];
  readonly clock: Clock;
  receive(fd: number): Uint8Array | undefined;
}

function listen({ onNews, onLost, onBroken }: NewsHandlers, { libc, koffi, clock, receive }: ListenDeps) {
  const fd = openSocket(libc, GROUPS);
  let isClosed = false;
  let isBroken = false;
  let hasLost = false;

  /** Undefined when there is nothing more. */
  function receiveNews(): readonly NetlinkMessage[] | undefined {
    try {
      const datagram = receive(fd);
      if (!datagram) return undefined;
      const { messages, isComplete } = decodeNetlink(datagram);
      if (!isComplete) hasLost = true;
      return messages;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOBUFS") throw error;
      hasLost = true;
      return [];
    }
  }

  /** Returns whether nothing more was there. */
  function readTurn(news: NetlinkMessage[]): boolean {
    for (let count = 0; count < DATAGRAMS_PER_TURN; count++) {
      const messages = receiveNews();
      if (!messages) return true;
      news.push(...messages);
    }
    return false;
  }

  function onReadable(): void {
    if (isBroken) return;
    const news: NetlinkMessage[] = [];
    let isEmpty: boolean;
    try {
      isEmpty = readTurn(news);
    } catch (error) {
      isBroken = true;
      onBroken(error);
      return;
    }
    if (!hasLost) {
      if (news.length > 0) onNews(news);
    } else if (isEmpty) {
      // Not before: until its queue was empty once, the kernel goes on dropping without a further word.
      hasLost = false;
      onLost();
    }
  }

  const watch = watchReadable(fd, { koffi, clock, onReadable });
  return {
    close() {
      if (isClosed) return;
      isClosed = true;
      watch.close();
      libc.close(fd);
    },
  };
}

function openSocket(libc: Libc, groups: number): number {
  const action = "open a netlink socket";
  let fd: number | undefined;
  try {
    fd = libc.socket({ domain: AF_NETLINK, type: SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol: NETLINK_ROUTE });
    if (groups !== 0) {
      setReceiveBuffer({ libc, fd, action }, RECEIVE_BUFFER_BYTES);
      libc.bind(fd, encodeAddress(groups));
    }
    return fd;
  } catch (cause) {
    if (fd !== undefined) libc.close(fd);
    throw systemCallFailed(action, cause);
  }
}

/** struct sockaddr_nl with port 0: the kernel, as a receiver; for bind, one the kernel is to choose. */
function encodeAddress(groups: number): Uint8Array {
  const address = new Uint8Array(SOCKADDR_NL_BYTES);
  new Uint16Array(address.buffer).set([AF_NETLINK]);
  new Uint32Array(address.buffer).set([groups], 2);
  return address;
}
