/**
 * Sends UDP datagrams from WireGuard's port by a raw IP socket of protocol 17, of which the kernel makes the IP header:
 * so the byte order of ip_len and ip_off, which is another one from release to release, does not arise.
 *
 * Nothing is received by it: FreeBSD and macOS deliver no UDP to raw sockets. raw_ip(4), ip(4), inet6(4), RFC 768.
 */
import { type Family, formatIp, formatTransportAddress, parseIp, type TransportAddress } from "../../address.ts";
import { StunmeshError } from "../../errors.ts";
import { encodeUdp } from "../frame.ts";
import { systemCallFailed } from "../native/system-error.ts";
import type { DatagramSender } from "../pcap/types.ts";
import type { ProbeSocketOptions } from "../types.ts";
import { bindToInterface, intBytes, openSocket, setOption } from "./socket.ts";
import { encodeSocketAddress } from "./socket-address.ts";
import { addressesOnlyOf, readSourceAddress } from "./source-address.ts";
import type { BsdHost } from "./system.ts";

const UDP_CHECKSUM_OFFSET = 6;

/** How a datagram gets around the tunnel, when the routing table would send it into it. */
export interface TunnelEscape {
  /** The interface to send by instead; undefined when there is none. */
  readonly interface: string | undefined;
  /** What a person can do about it, for the error. */
  readonly hint: string;
}

/** Opens a sender. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED or NATIVE_UNAVAILABLE. */
export function openSender(
  options: ProbeSocketOptions,
  { host, tunnelEscape }: { readonly host: BsdHost; readonly tunnelEscape: TunnelEscape },
): DatagramSender {
  const { family, localPort, fib, excludeInterface } = options;
  const { libc, system } = host;
  const { IPPROTO_UDP, IPPROTO_IPV6, IPV6_CHECKSUM } = system.constants;
  const action = "open a raw UDP socket";
  const socket = openSocket(host, { family, type: "raw", protocol: IPPROTO_UDP, action, fib });
  let isClosed = false;
  /** What the socket is bound to now: an interface, and the address datagrams come from. */
  let boundIndex = 0;
  let boundSource = "";

  try {
    if (family === "ipv6") {
      const value = intBytes(UDP_CHECKSUM_OFFSET);
      setOption(socket, { level: IPPROTO_IPV6, option: IPV6_CHECKSUM, name: "IPV6_CHECKSUM", value });
    }
  } catch (error) {
    libc.close(socket.fd);
    throw error;
  }

  /** Returns the address to send from, having bound the socket to another interface where the route is the tunnel's. */
  function selectRoute(ip: Uint8Array, port: number): Uint8Array {
    const routed = readSourceAddress(host, { family, ip, port, fib });
    const tunnel = addressesOnlyOf(host.readInterfaces(), { name: excludeInterface, family });
    let index = 0;
    if (tunnel.includes(formatIp(routed))) {
      if (tunnelEscape.interface === undefined || tunnelEscape.interface === excludeInterface) {
        throw new Error(`its route leads into the tunnel "${excludeInterface}" itself; ${tunnelEscape.hint}`);
      }
      index = libc.interfaceIndex(tunnelEscape.interface);
    }
    if (index !== boundIndex) bindToInterface(socket, index);
    boundIndex = index;
    return index === 0 ? routed : readSourceAddress(host, { family, ip, port, fib, boundIndex: index });
  }

  /** So that the address agrees with the checksum, even where the kernel would choose differently the second time. */
  function bindToSource(source: Uint8Array): void {
    const text = formatIp(source);
    if (text === boundSource) return;
    libc.bind(socket.fd, encodeSocketAddress(source, { port: 0, families: system.constants }));
    boundSource = text;
  }

  return {
    send(payload, to) {
      const destination = ipOfFamily(to, family);
      const ports = { sourcePort: localPort, destinationPort: to.port };
      try {
        // The number of a closed descriptor may be somebody else's by now.
        if (isClosed) throw new Error("the socket is closed");
        const source = selectRoute(destination, to.port);
        // For IPv6 the kernel writes the checksum, with whatever address it chooses.
        if (family === "ipv4") bindToSource(source);
        const addresses = family === "ipv4" ? { source, destination } : undefined;
        const address = encodeSocketAddress(destination, { port: 0, families: system.constants });
        libc.sendTo(socket.fd, { bytes: encodeUdp(payload, { ...ports, addresses }), address });
      } catch (cause) {
        if (cause instanceof StunmeshError) throw cause;
        throw systemCallFailed(`send a datagram to ${formatTransportAddress(to)}`, cause);
      }
    },
    close() {
      if (isClosed) return;
      isClosed = true;
      libc.close(socket.fd);
    },
  };
}

function ipOfFamily(to: TransportAddress, family: Family): Uint8Array {
  const ip = to.family === family ? parseIp(to.host) : undefined;
  if (ip) return ip;
  throw new RangeError(`Cannot send a datagram to ${formatTransportAddress(to)}: the socket is for ${family}`);
}
