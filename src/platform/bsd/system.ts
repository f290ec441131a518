/**
 * What FreeBSD and macOS have in common, and the tables of what they have not: the numbers of <sys/socket.h>,
 * <netinet/in.h>, <netinet6/in6.h> and <net/route.h>, and some habits. The same on amd64 and arm64.
 *
 * Error numbers are not among them: the C library's own are asked for at run time.
 */
import type { Clock } from "../../clock.ts";
import { type Koffi, loadKoffi } from "../native/koffi.ts";
import { type Libc, loadLibc } from "../native/libc.ts";
import { loadReadInterfaces, type ReadInterfaces } from "../native/network-interfaces.ts";

/** Names are those of C. What a system does not have is missing in its table. */
export interface BsdConstants {
  readonly AF_INET: number;
  readonly AF_INET6: number;
  readonly PF_ROUTE: number;
  readonly SOCK_DGRAM: number;
  readonly SOCK_RAW: number;
  readonly O_NONBLOCK: number;
  readonly SOL_SOCKET: number;
  readonly SO_RCVBUF: number;
  /** FreeBSD: the routing table to send by. */
  readonly SO_SETFIB?: number;
  /** FreeBSD 14: say that something was lost, as others do by themselves or not at all. */
  readonly SO_RERROR?: number;
  readonly IPPROTO_IP: number;
  readonly IPPROTO_UDP: number;
  readonly IPPROTO_IPV6: number;
  readonly IPPROTO_ICMPV6: number;
  readonly IPV6_CHECKSUM: number;
  readonly ICMP6_FILTER: number;
  /** macOS: send by this network interface only. */
  readonly IP_BOUND_IF?: number;
  readonly IPV6_BOUND_IF?: number;
  readonly IFF_UP: number;
  readonly IFF_RUNNING: number;
  readonly RTM_VERSION: number;
  readonly RTM_ADD: number;
  readonly RTM_DELETE: number;
  readonly RTM_CHANGE: number;
  readonly RTM_NEWADDR: number;
  readonly RTM_DELADDR: number;
  readonly RTM_IFINFO: number;
  readonly RTM_IFANNOUNCE?: number;
  /** A neighbour's link-layer address (ARP, ND). */
  readonly RTF_LLDATA: number;
  /** macOS: made by the kernel for one destination that is in use. */
  readonly RTF_WASCLONED?: number;
  /** Made by the kernel with every address. */
  readonly RTF_LOCAL: number;
  readonly RTF_BROADCAST: number;
  readonly RTF_MULTICAST: number;
}

export interface BsdSystem {
  readonly name: "freebsd" | "darwin";
  readonly constants: BsdConstants;
  /**
   * How a raw IPv4 socket delivers the length and the fragment offset of the header: as on the wire (FreeBSD 11), or in
   * host byte order and the length without the header (macOS).
   */
  readonly rawIpv4Header: "wire" | "host";
  /** Offset of the state of the link in a struct if_msghdr; undefined where it has none. */
  readonly linkStateOffset?: number;
  /** Who may open raw sockets, for messages. */
  readonly rawSocketRight: string;
}

/** A system, and how it is reached. */
export interface BsdHost {
  readonly system: BsdSystem;
  readonly libc: Libc;
  /** What watchReadable needs. */
  readonly koffi: { readonly node?: Koffi["node"] };
  readonly readInterfaces: ReadInterfaces;
  readonly clock: Clock;
}

/** Loads what is native. Throws NATIVE_UNAVAILABLE. */
export async function loadBsdHost(system: BsdSystem, clock: Clock): Promise<BsdHost> {
  const [libc, koffi, readInterfaces] = await Promise.all([loadLibc(), loadKoffi(), loadReadInterfaces(system.name)]);
  return { system, libc, koffi, readInterfaces, clock };
}
