/**
 * The address the kernel would send from, which says two things: what the UDP checksum of a raw socket's datagram must
 * cover, and by which interface the route leaves.
 *
 * Asked for each datagram anew (a route may change between two), by "connecting" a UDP socket that has the same options:
 * nothing is sent by that. To the real port: these systems refuse port 0. connect(2), getsockname(2), udp(4).
 */
import { type Family, formatIp } from "../../address.ts";
import type { NetworkInterface } from "../native/network-interfaces.ts";
import { bindToInterface, openSocket } from "./socket.ts";
import { decodeIp, encodeSocketAddress } from "./socket-address.ts";
import type { BsdHost } from "./system.ts";

interface Destination {
  readonly family: Family;
  readonly ip: Uint8Array;
  readonly port: number;
  readonly fib?: number | undefined;
  /** macOS: the interface the socket is bound to; 0 = none. */
  readonly boundIndex?: number;
}

/** Returns 4 or 16 bytes. Throws the system's error (ENETUNREACH: no route) or that of opening a socket. */
export function readSourceAddress(host: BsdHost, destination: Destination): Uint8Array {
  const { family, ip, port, fib, boundIndex = 0 } = destination;
  const { libc } = host;
  const families = host.system.constants;
  const socket = openSocket(host, { family, type: "datagram", protocol: 0, action: "open a UDP socket", fib });
  try {
    if (boundIndex !== 0) bindToInterface(socket, boundIndex);
    libc.connect(socket.fd, encodeSocketAddress(ip, { port, families }));
    const source = decodeIp(libc.getsockname(socket.fd), families);
    if (!source) throw new Error("the system tells no address to send from");
    return source;
  } finally {
    libc.close(socket.fd);
  }
}

/** The addresses of the interface `name` of a family, as text; not the link-local ones, which say nothing about routes. */
export function addressesOf(
  interfaces: readonly NetworkInterface[],
  { name, family }: { readonly name: string; readonly family: Family },
): readonly string[] {
  return interfaces
    .filter((one) => one.name === name)
    .flatMap(({ addresses }) => addresses)
    .filter((ip) => ip.length === (family === "ipv4" ? 4 : 16) && !(ip[0] === 0xfe && ((ip[1] ?? 0) & 0xc0) === 0x80))
    .map(formatIp);
}

/** The addresses that `name` has and no other interface has: what is sent from one of them goes out there. */
export function addressesOnlyOf(
  interfaces: readonly NetworkInterface[],
  { name, family }: { readonly name: string; readonly family: Family },
): readonly string[] {
  const others = interfaces.filter((one) => one.name !== name).map((one) => one.name);
  const elsewhere = new Set(others.flatMap((other) => addressesOf(interfaces, { name: other, family })));
  return addressesOf(interfaces, { name, family }).filter((address) => !elsewhere.has(address));
}
