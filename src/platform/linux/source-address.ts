/**
 * The IPv4 address the kernel would send from, which the UDP checksum of a raw socket's datagram must cover.
 *
 * Asked for each datagram anew (a route may change between two), by "connecting" a UDP socket with the same mark: nothing
 * is sent by that. Port 0, because a raw socket's routing does not look at ports either. The datagram is then sent from
 * that very address (IP_PKTINFO), so that address and checksum agree even where the kernel would choose differently the
 * second time: a NAT of Linux passes a datagram with a wrong checksum on untranslated. connect(2), udp(7).
 */
import type { Libc } from "../native/libc.ts";
import { AF_INET, encodeSocketAddress, ipOfSocketAddress } from "./socket-address.ts";
import { openSocket, SOCK_DGRAM, setFirewallMark } from "./socket-options.ts";

/** Returns 4 bytes. Throws the system's error (ENETUNREACH: no route) or that of opening a socket. */
export function readSourceAddress(
  libc: Libc,
  { destination, firewallMark }: { readonly destination: Uint8Array; readonly firewallMark: number },
): Uint8Array {
  const action = "open a UDP socket";
  const socket = openSocket(libc, { domain: AF_INET, type: SOCK_DGRAM, protocol: 0, action });
  try {
    if (firewallMark !== 0) setFirewallMark(socket, firewallMark);
    libc.connect(socket.fd, encodeSocketAddress(destination));
    return ipOfSocketAddress(libc.getsockname(socket.fd));
  } finally {
    libc.close(socket.fd);
  }
}
