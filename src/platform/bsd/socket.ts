/**
 * Opening sockets of FreeBSD and macOS, and the options that say which way packets go.
 * socket(2), setsockopt(2), fcntl(2), ip(4), inet6(4), setfib(2).
 */
import type { Family } from "../../address.ts";
import { StunmeshError } from "../../errors.ts";
import { systemCallFailed } from "../native/system-error.ts";
import type { BsdHost } from "./system.ts";

/** An open descriptor, and what it is for: "open a raw UDP socket". */
export interface BsdSocket {
  readonly host: BsdHost;
  readonly fd: number;
  readonly family: Family;
  readonly action: string;
}

interface OpenOptions {
  readonly family: Family;
  readonly type: "raw" | "datagram";
  /** IP protocol number. */
  readonly protocol: number;
  readonly action: string;
  /** FreeBSD: the routing table to send by; undefined = the process's. */
  readonly fib?: number | undefined;
}

/**
 * Opens a socket that does not block and that child processes do not inherit: by fcntl(), as macOS has no flags for it.
 * Nothing starts a process in between, as that takes the same thread. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED.
 */
export function openSocket(host: BsdHost, { family, type, protocol, action, fib }: OpenOptions): BsdSocket {
  const { libc, system } = host;
  const { AF_INET, AF_INET6, SOCK_RAW, SOCK_DGRAM, O_NONBLOCK, SOL_SOCKET, SO_SETFIB } = system.constants;
  const domain = family === "ipv4" ? AF_INET : AF_INET6;
  let fd: number;
  try {
    fd = libc.socket({ domain, type: type === "raw" ? SOCK_RAW : SOCK_DGRAM, protocol });
  } catch (cause) {
    throw openFailed(host, { action, cause });
  }
  const socket = { host, fd, family, action };
  try {
    libc.setNonBlocking(fd, { nonBlocking: O_NONBLOCK });
    if (fib !== undefined && SO_SETFIB !== undefined) {
      setOption(socket, { level: SOL_SOCKET, option: SO_SETFIB, name: `SO_SETFIB ${fib}`, value: intBytes(fib) });
    }
    return socket;
  } catch (error) {
    libc.close(fd);
    throw error instanceof StunmeshError ? error : openFailed(host, { action, cause: error });
  }
}

/**
 * macOS: sends by the network interface with this number only, whatever the routing table says; 0 undoes it. Does nothing
 * on FreeBSD, which has no such thing. Throws SYSTEM_CALL_FAILED (ENXIO: no such interface).
 */
export function bindToInterface(socket: BsdSocket, index: number): void {
  const { IPPROTO_IP, IPPROTO_IPV6, IP_BOUND_IF, IPV6_BOUND_IF } = socket.host.system.constants;
  const value = intBytes(index);
  if (socket.family === "ipv4" && IP_BOUND_IF !== undefined) {
    setOption(socket, { level: IPPROTO_IP, option: IP_BOUND_IF, name: "IP_BOUND_IF", value });
  } else if (socket.family === "ipv6" && IPV6_BOUND_IF !== undefined) {
    setOption(socket, { level: IPPROTO_IPV6, option: IPV6_BOUND_IF, name: "IPV6_BOUND_IF", value });
  }
}

interface Option {
  readonly level: number;
  readonly option: number;
  readonly name: string;
  readonly value: Uint8Array;
}

/** Sets an option of a socket. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED. */
export function setOption({ host, fd, action }: BsdSocket, option: Option): void {
  try {
    host.libc.setsockopt(fd, option);
  } catch (cause) {
    throw openFailed(host, { action, cause });
  }
}

/** A C int in the machine's byte order. */
export function intBytes(int: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(int).buffer);
}

function openFailed({ system }: BsdHost, { action, cause }: { action: string; cause: unknown }): StunmeshError {
  const failed = systemCallFailed(action, cause);
  const { code } = cause as { readonly code?: unknown };
  if (code !== "EPERM" && code !== "EACCES") return failed;
  return new StunmeshError("PERMISSION_DENIED", `${failed.message}: ${system.rawSocketRight}`, { cause });
}
