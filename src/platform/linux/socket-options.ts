/**
 * Opening a socket of Linux and setting what Node cannot set; failures say which capability is missing.
 * socket(2), socket(7), raw(7), ipv6(7), linux/filter.h. The numbers are those of every architecture koffi has a binary for.
 */
import { type BpfProgram, encodeBpf } from "../bpf.ts";
import type { Libc } from "../native/libc.ts";
import { openFailed } from "../native/system-error.ts";

export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

const SOL_SOCKET = 1;
const SO_RCVBUF = 8;
const SO_BINDTODEVICE = 25;
const SO_ATTACH_FILTER = 26;
const SO_RCVBUFFORCE = 33;
const SO_MARK = 36;
const IPPROTO_IPV6 = 41;
const IPV6_CHECKSUM = 7;

/** IFNAMSIZ without its terminating zero. The kernel silently cuts a longer name, and an empty one means "any". */
const INTERFACE_NAME_MAX_BYTES = 15;

/** An open descriptor, and what it is for: "open a raw UDP socket". */
export interface Socket {
  readonly libc: Libc;
  readonly fd: number;
  readonly action: string;
}

/** Opens a socket that does not block and that child processes do not inherit. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED. */
export function openSocket(
  libc: Libc,
  options: { readonly domain: number; readonly type: number; readonly protocol: number; readonly action: string },
): Socket {
  const { domain, type, protocol, action } = options;
  try {
    return { libc, fd: libc.socket({ domain, type: type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol }), action };
  } catch (cause) {
    throw openFailed(action, { cause, capability: "CAP_NET_RAW" });
  }
}

/** Gives every packet sent from now on a firewall mark, by which rules may route it. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED. */
export function setFirewallMark(socket: Socket, mark: number): void {
  setOption(socket, { option: SO_MARK, name: "SO_MARK", value: bytesOf(mark), capability: "CAP_NET_ADMIN" });
}

/** Sends and receives by this network interface only. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED (ENODEV: no such interface). */
export function bindToInterface(socket: Socket, name: string): void {
  const value = new TextEncoder().encode(name);
  if (value.length === 0 || value.length > INTERFACE_NAME_MAX_BYTES) {
    throw openFailed(socket.action, {
      cause: new Error(`"${name}" is no name of a network interface`),
      capability: "CAP_NET_RAW",
    });
  }
  setOption(socket, { option: SO_BINDTODEVICE, name: `SO_BINDTODEVICE "${name}"`, value, capability: "CAP_NET_RAW" });
}

/** Keeps only the packets `program` accepts; replaces the filter before it in one step. Throws SYSTEM_CALL_FAILED. */
export function attachFilter({ libc, fd, action }: Socket, program: BpfProgram): void {
  try {
    const instructions = encodeBpf(program);
    libc.attachFilter(fd, { level: SOL_SOCKET, option: SO_ATTACH_FILTER, name: "SO_ATTACH_FILTER", instructions });
  } catch (cause) {
    throw openFailed(action, { cause, capability: "CAP_NET_RAW" });
  }
}

/** Lets the kernel write the checksum of IPv6 packets at `offset`. Throws SYSTEM_CALL_FAILED. */
export function setChecksumOffset(socket: Socket, offset: number): void {
  setOption(socket, {
    level: IPPROTO_IPV6,
    option: IPV6_CHECKSUM,
    name: "IPV6_CHECKSUM",
    value: bytesOf(offset),
    capability: "CAP_NET_RAW",
  });
}

/** Makes room for packets that arrive before they are read; without CAP_NET_ADMIN at most net.core.rmem_max. Throws SYSTEM_CALL_FAILED. */
export function setReceiveBuffer(socket: Socket, bytes: number): void {
  const value = bytesOf(bytes);
  try {
    setOption(socket, { option: SO_RCVBUFFORCE, name: "SO_RCVBUFFORCE", value, capability: "CAP_NET_ADMIN" });
  } catch {
    // Not allowed to exceed the system's limit: what SO_RCVBUF gives is smaller, and still right.
    setOption(socket, { option: SO_RCVBUF, name: "SO_RCVBUF", value, capability: "CAP_NET_RAW" });
  }
}

interface Option {
  readonly level?: number;
  readonly option: number;
  readonly name: string;
  readonly value: Uint8Array;
  readonly capability: "CAP_NET_RAW" | "CAP_NET_ADMIN";
}

function setOption({ libc, fd, action }: Socket, options: Option): void {
  const { level = SOL_SOCKET, option, name, value, capability } = options;
  try {
    libc.setsockopt(fd, { level, option, name, value });
  } catch (cause) {
    throw openFailed(action, { cause, capability });
  }
}

/** A C int in the machine's byte order. */
function bytesOf(int: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(int).buffer);
}
