/**
 * All network interfaces of this host with their addresses: getifaddrs(3).
 *
 * Not os.networkInterfaces(): that leaves out interfaces that are down (of which it is to be said that they are) or have no
 * address, and an uplink may have none while the host's own is on the loopback interface. Decoding is pure; libc's list is
 * given back before anybody sees it. netdevice(7), ip(4), inet6(4).
 */
import { type Koffi, loadKoffi } from "./koffi.ts";
import { systemCallFailed, systemError } from "./system-error.ts";

export interface NetworkInterface {
  readonly name: string;
  readonly isUp: boolean;
  readonly isLoopback: boolean;
  /** 4 or 16 bytes each. */
  readonly addresses: readonly Uint8Array[];
}

/** One struct ifaddrs: an interface, or one address of it. */
export interface InterfaceEntry {
  readonly name: string;
  readonly flags: number;
  /** struct sockaddr. */
  readonly address: Uint8Array | undefined;
}

/** Where a struct sockaddr has its family, and the number of IPv6. The numbers fit into one byte. */
export const socketAddressLayouts = {
  linux: { familyHasLength: false, ipv6: 10 },
  freebsd: { familyHasLength: true, ipv6: 28 },
  darwin: { familyHasLength: true, ipv6: 30 },
} as const;

export type InterfaceSystem = keyof typeof socketAddressLayouts;

const AF_INET = 2;
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;
const SOCKADDR_HEAD_BYTES = 2;
const SOCKADDR_IN_BYTES = 16;
const SOCKADDR_IN6_BYTES = 28;

/** Reads the list, at any time anew. */
export type ReadInterfaces = () => readonly NetworkInterface[];

let loading: Promise<(system: InterfaceSystem) => readonly InterfaceEntry[]> | undefined;

/** Loads what is needed, once. Throws NATIVE_UNAVAILABLE; what it returns throws SYSTEM_CALL_FAILED. */
export async function loadReadInterfaces(system: InterfaceSystem): Promise<ReadInterfaces> {
  loading ??= loadKoffi().then(bindReadEntries);
  const readEntries = await loading;
  return () => decodeInterfaces(readEntries(system), system);
}

function bindReadEntries(koffi: Koffi): (system: InterfaceSystem) => readonly InterfaceEntry[] {
  const library = koffi.load(null);
  const getifaddrs = library.func("int getifaddrs(_Out_ void **list)");
  const freeifaddrs = library.func("void freeifaddrs(void *list)");
  // There is more behind it, which nobody needs. The same on all systems.
  const entryType = koffi.struct({ next: "void *", name: "char *", flags: "uint", address: "void *" });
  return (system) => {
    const list: [bigint | null] = [null];
    if (getifaddrs(list) !== 0) {
      const cause = systemError("getifaddrs", { errno: koffi.errno(), names: koffi.os.errno });
      throw systemCallFailed("read the network interfaces", cause);
    }
    const entries: InterfaceEntry[] = [];
    try {
      for (let pointer = list[0]; pointer !== null; ) {
        const { next, name, flags, address } = koffi.decode(pointer, entryType);
        entries.push({ name, flags, address: address && copySocketAddress(koffi, { address, system }) });
        pointer = next;
      }
    } finally {
      freeifaddrs(list[0]);
    }
    return entries;
  };
}

/** How long a struct sockaddr is depends on its family, and behind it there may be nothing. */
function copySocketAddress(
  koffi: Koffi,
  { address, system }: { readonly address: bigint; readonly system: InterfaceSystem },
): Uint8Array | undefined {
  const head: Uint8Array = koffi.decode(address, "uint8_t", SOCKADDR_HEAD_BYTES);
  const length = lengthOfFamily(familyOf(head, system), system);
  return length === undefined ? undefined : koffi.decode(address, "uint8_t", length);
}

/** Makes one interface of all entries of the same name, in the order of their first ones. */
export function decodeInterfaces(
  entries: readonly InterfaceEntry[],
  system: InterfaceSystem,
): readonly NetworkInterface[] {
  const found = new Map<string, { readonly flags: number; readonly addresses: Uint8Array[] }>();
  for (const { name, flags, address } of entries) {
    // An address of Linux may have a label of its own: "eth0:1".
    const [device = ""] = name.split(":", 1);
    const known = found.get(device) ?? { flags, addresses: [] };
    found.set(device, known);
    const ip = address && decodeIp(address, system);
    if (ip) known.addresses.push(ip);
  }
  return [...found].map(([name, { flags, addresses }]) => ({
    name,
    isUp: (flags & IFF_UP) !== 0,
    isLoopback: (flags & IFF_LOOPBACK) !== 0,
    addresses,
  }));
}

/** The 4 or 16 bytes of the IP address in a struct sockaddr; undefined for any other. */
function decodeIp(address: Uint8Array, system: InterfaceSystem): Uint8Array | undefined {
  const family = familyOf(address, system);
  const length = lengthOfFamily(family, system);
  if (length === undefined || address.length < length) return undefined;
  if (family === AF_INET) return address.slice(4, 8);
  const ip = address.slice(8, 24);
  // BSD kernels keep the number of the interface in link-local addresses, where others have zeros.
  if (socketAddressLayouts[system].familyHasLength && ip[0] === 0xfe && ip[1] === 0x80) ip.fill(0, 2, 4);
  return ip;
}

/** Linux: a 16-bit number below 256, in the byte order of the machine. BSD: one byte for the length, one for the family. */
function familyOf(address: Uint8Array, system: InterfaceSystem): number {
  const [first = 0, second = 0] = address;
  return socketAddressLayouts[system].familyHasLength ? second : first | second;
}

function lengthOfFamily(family: number, system: InterfaceSystem): number | undefined {
  if (family === AF_INET) return SOCKADDR_IN_BYTES;
  return family === socketAddressLayouts[system].ipv6 ? SOCKADDR_IN6_BYTES : undefined;
}
