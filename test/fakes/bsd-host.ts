/**
 * The C library and the network side of a FreeBSD or macOS kernel, as far as sockets go: strict about what those refuse, with
 * numbers from the systems' headers (test/fixtures/bsd-constants.json) and none of the program's. Remembers what it was asked.
 */
import { setImmediate } from "node:timers/promises";
import { parseIp } from "../../src/address.ts";
import type { BsdHost } from "../../src/platform/bsd/system.ts";
import { darwin } from "../../src/platform/darwin/constants.ts";
import { freebsd } from "../../src/platform/freebsd/constants.ts";
import type { Libc } from "../../src/platform/native/libc.ts";
import type { NetworkInterface } from "../../src/platform/native/network-interfaces.ts";
import { type BsdName, constantOf, headersOf } from "../fixtures/bsd-constants.ts";
import { createFakeClock, type FakeClock } from "./clock.ts";

export interface FakeSocket {
  readonly fd: number;
  readonly kind: "raw" | "datagram" | "route";
  readonly family: "ipv4" | "ipv6" | undefined;
  readonly protocol: number;
  /** Names of the headers, with the value as a number, or as bytes when it is no int. */
  readonly options: { readonly name: string; readonly value: number | Uint8Array }[];
  readonly bound: string[];
  readonly connected: { readonly host: string; readonly port: number }[];
  /** What was sent, and whereto; `source` is what the kernel sent it from. */
  readonly sent: { readonly bytes: Uint8Array; readonly to: string; readonly source: string; readonly by: string }[];
  isNonBlocking: boolean;
  isClosed: boolean;
}

export interface FakeInterface {
  readonly index: number;
  readonly addresses: readonly string[];
}

export interface FakeBsd extends BsdHost {
  readonly clock: FakeClock;
  readonly sockets: readonly FakeSocket[];
  /** Those that are not closed. */
  open(): readonly FakeSocket[];
  readonly interfaces: Map<string, FakeInterface>;
  /** The interface by which `host` is reached in a routing table (0 is the usual one); undefined = no route. */
  route: (host: string, fib: number) => string | undefined;
  /** Makes a call fail with this error: "socket" -> "EPERM", "setsockopt IPV6_CHECKSUM" -> ..., until it is deleted. */
  readonly failing: Map<string, string>;
  /** Puts bytes (or an error) into the queue of a socket, and lets the event loop turn until they were read. */
  deliver(socket: FakeSocket, ...items: readonly (Delivery | string)[]): Promise<void>;
}

export interface Delivery {
  readonly bytes: Uint8Array;
  /** IP address of the sender. */
  readonly from?: string;
}

const systems = { freebsd, darwin };
/** Options by level, with the length of their value; for which sockets is not looked at. */
const knownOptions: readonly { readonly level: string; readonly name: string; readonly bytes: number }[] = [
  { level: "SOL_SOCKET", name: "SO_RCVBUF", bytes: 4 },
  { level: "SOL_SOCKET", name: "SO_SETFIB", bytes: 4 },
  { level: "SOL_SOCKET", name: "SO_RERROR", bytes: 4 },
  { level: "IPPROTO_IP", name: "IP_BOUND_IF", bytes: 4 },
  { level: "IPPROTO_IPV6", name: "IPV6_BOUND_IF", bytes: 4 },
  { level: "IPPROTO_IPV6", name: "IPV6_CHECKSUM", bytes: 4 },
  { level: "IPPROTO_ICMPV6", name: "ICMP6_FILTER", bytes: 32 },
];

/** A host with em0 (192.0.2.10, 2001:db8::10) and wg0 (10.99.0.1, fd99::1), whose routes to 10/8 and fd99:: lead into wg0. */
export function createFakeBsd(name: BsdName): FakeBsd {
  const { constants } = headersOf(name);
  const number = (constant: string) => constantOf(name, constant);
  const sockets: FakeSocket[] = [];
  const queues = new Map<number, (Delivery | string)[]>();
  const watchers = new Map<number, () => void>();

  function fail(code: string, syscall: string): never {
    throw Object.assign(new Error(`${code} (${syscall})`), { code, syscall });
  }

  function maybeFail(call: string): void {
    const code = fake.failing.get(call);
    if (code !== undefined) fail(code, call);
  }

  function find(fd: number, syscall: string): FakeSocket {
    const socket = sockets.find((one) => one.fd === fd);
    if (!socket || socket.isClosed) fail("EBADF", syscall);
    return socket;
  }

  /** A struct sockaddr as these systems want it: with its own length, and of the socket's family. */
  function decodeAddress(address: Uint8Array, socket: FakeSocket, syscall: string) {
    const isIpv4 = socket.family === "ipv4";
    if (address[0] !== address.length || address.length !== (isIpv4 ? 16 : 28)) fail("EINVAL", syscall);
    if (address[1] !== number(isIpv4 ? "AF_INET" : "AF_INET6")) fail("EAFNOSUPPORT", syscall);
    const ip = isIpv4 ? address.slice(4, 8) : address.slice(8, 24);
    return { host: textOf(ip), port: new DataView(address.buffer, address.byteOffset).getUint16(2) };
  }

  function encodeAddress(host: string, port = 0): Uint8Array {
    const ip = parseIp(host)!;
    const address = new Uint8Array(ip.length === 4 ? 16 : 28);
    address[0] = address.length;
    address[1] = number(ip.length === 4 ? "AF_INET" : "AF_INET6");
    new DataView(address.buffer).setUint16(2, port);
    address.set(ip, ip.length === 4 ? 4 : 8);
    return address;
  }

  function optionOf(socket: FakeSocket, wanted: string): number {
    const value = socket.options.findLast((option) => option.name === wanted)?.value;
    return typeof value === "number" ? value : 0;
  }

  /** By which interface a packet leaves, and from which address. */
  function routeOf(socket: FakeSocket, host: string, syscall: string) {
    const boundIndex = optionOf(socket, socket.family === "ipv4" ? "IP_BOUND_IF" : "IPV6_BOUND_IF");
    const boundName = [...fake.interfaces].find(([, { index }]) => index === boundIndex)?.[0];
    const by = boundName ?? fake.route(host, optionOf(socket, "SO_SETFIB"));
    const out = by === undefined ? undefined : fake.interfaces.get(by);
    if (by === undefined || !out) fail("ENETUNREACH", syscall);
    const own = out.addresses.find((address) => address.includes(":") === host.includes(":"));
    if (own === undefined) fail("EADDRNOTAVAIL", syscall);
    return { by, source: own };
  }

  const libc: Libc = {
    wordBytes: 8,
    socket({ domain, type, protocol }) {
      maybeFail("socket");
      const isRoute = domain === number("PF_ROUTE");
      const isIpv4 = domain === number("AF_INET");
      if (!isRoute && !isIpv4 && domain !== number("AF_INET6")) fail("EAFNOSUPPORT", "socket");
      // SOCK_NONBLOCK and SOCK_CLOEXEC are not known to macOS, and not needed on FreeBSD.
      if (type !== number("SOCK_RAW") && type !== number("SOCK_DGRAM")) fail("EPROTOTYPE", "socket");
      const kind = isRoute ? "route" : type === number("SOCK_RAW") ? "raw" : "datagram";
      const fd = 100 + sockets.length;
      const family = isRoute ? undefined : isIpv4 ? "ipv4" : "ipv6";
      const fresh = { options: [], bound: [], connected: [], sent: [], isNonBlocking: false, isClosed: false };
      sockets.push({ fd, kind, family, protocol, ...fresh });
      queues.set(fd, []);
      return fd;
    },
    setNonBlocking(fd, { nonBlocking }) {
      maybeFail("fcntl");
      const socket = find(fd, "fcntl");
      socket.isNonBlocking = nonBlocking === number("O_NONBLOCK");
    },
    setsockopt(fd, { level, option, name: given, value }) {
      const socket = find(fd, "setsockopt");
      const known = knownOptions.find(
        (one) => constants[one.name] !== undefined && constants[one.level] === level && constants[one.name] === option,
      );
      if (!known || value.length !== known.bytes) fail("ENOPROTOOPT", `setsockopt ${given}`);
      maybeFail(`setsockopt ${known.name}`);
      const int = value.length === 4 ? new Int32Array(value.slice().buffer)[0]! : value.slice();
      socket.options.push({ name: known.name, value: int });
    },
    attachFilter: () => fail("ENOPROTOOPT", "setsockopt"),
    connect(fd, address) {
      const socket = find(fd, "connect");
      const to = decodeAddress(address, socket, "connect");
      maybeFail("connect");
      // Linux takes port 0, these systems do not.
      if (to.port === 0) fail("EADDRNOTAVAIL", "connect");
      routeOf(socket, to.host, "connect");
      socket.connected.push(to);
    },
    bind(fd, address) {
      const socket = find(fd, "bind");
      const { host } = decodeAddress(address, socket, "bind");
      maybeFail("bind");
      const isOwn = [...fake.interfaces.values()].some(({ addresses }) => addresses.includes(host));
      if (!isOwn) fail("EADDRNOTAVAIL", "bind");
      socket.bound.push(host);
    },
    getsockname(fd) {
      const socket = find(fd, "getsockname");
      maybeFail("getsockname");
      const to = socket.connected.at(-1);
      return encodeAddress(to ? routeOf(socket, to.host, "getsockname").source : "0.0.0.0", to ? 40_000 : 0);
    },
    send: () => fail("EOPNOTSUPP", "sendmsg"),
    sendTo(fd, { bytes, address }) {
      const socket = find(fd, "sendto");
      const to = decodeAddress(address, socket, "sendto");
      maybeFail("sendto");
      // RFC 3542: the port of a raw socket's address has to be 0.
      if (to.port !== 0) fail("EINVAL", "sendto");
      const { by, source } = routeOf(socket, to.host, "sendto");
      socket.sent.push({ bytes: bytes.slice(), to: to.host, source: socket.bound.at(-1) ?? source, by });
    },
    receive(fd, into) {
      try {
        return libc.receiveChecked(fd, into);
      } catch {
        return undefined;
      }
    },
    receiveChecked(fd, { packet, address }) {
      const socket = find(fd, "recvfrom");
      if (!socket.isNonBlocking) throw new Error("recvfrom() would block for ever");
      const item = queues.get(fd)?.shift();
      if (item === undefined) return undefined;
      if (typeof item === "string") fail(item, "recvfrom");
      if (item.from !== undefined) address.set(encodeAddress(item.from));
      const length = Math.min(item.bytes.length, packet.length);
      packet.set(item.bytes.subarray(0, length));
      return length;
    },
    interfaceIndex: (wanted) => fake.interfaces.get(wanted)?.index ?? fail("ENXIO", "if_nametoindex"),
    interfaceName: (wanted) => [...fake.interfaces].find(([, { index }]) => index === wanted)?.[0],
    lockFile: () => undefined,
    close(fd) {
      if (watchers.has(fd)) throw new Error("a descriptor that is watched was closed");
      find(fd, "close").isClosed = true;
    },
  };

  const koffi = {
    node: {
      poll(fd: number, _events: unknown, callback: (status: number) => void) {
        find(fd, "poll");
        watchers.set(fd, () => callback(0));
        return { start: () => undefined, close: () => watchers.delete(fd) };
      },
    },
  };

  const fake: FakeBsd = {
    system: systems[name],
    libc,
    koffi: koffi as unknown as BsdHost["koffi"],
    clock: createFakeClock(),
    readInterfaces: () =>
      [...fake.interfaces].map(([one, { addresses }]): NetworkInterface => {
        return { name: one, isUp: true, isLoopback: one === "lo0", addresses: addresses.map((text) => parseIp(text)!) };
      }),
    sockets,
    open: () => sockets.filter(({ isClosed }) => !isClosed),
    interfaces: new Map([
      ["lo0", { index: 1, addresses: ["127.0.0.1", "::1"] }],
      ["em0", { index: 2, addresses: ["192.0.2.10", "fe80::2", "2001:db8::10"] }],
      ["wg0", { index: 5, addresses: ["10.99.0.1", "fd99::1"] }],
    ]),
    route: (host) => (host.startsWith("10.") || host.startsWith("fd99:") ? "wg0" : "em0"),
    failing: new Map(),
    async deliver(socket, ...items) {
      queues.get(socket.fd)?.push(...items);
      watchers.get(socket.fd)?.();
      for (let turn = 0; turn < 3; turn++) await setImmediate();
    },
  };
  return fake;
}

function textOf(ip: Uint8Array): string {
  if (ip.length === 4) return ip.join(".");
  const groups = Array.from({ length: 8 }, (_, at) => ((ip[at * 2]! << 8) | ip[at * 2 + 1]!).toString(16));
  return new URL(`http://[${groups.join(":")}]/`).hostname.slice(1, -1);
}
