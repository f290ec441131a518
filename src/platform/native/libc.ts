/**
 * The calls of the C library that Node does not offer, for sockets and one for files, one function each.
 *
 * Every call returns at once: sockets are non-blocking, and koffi's `.async()` is never used (it would block a thread of
 * Node's pool for as long as nothing arrives). Buffers are handed to C only for the duration of a call.
 * See socket(2), fcntl(2), setsockopt(2), bind(2), connect(2), getsockname(2), sendmsg(2), sendto(2), recvfrom(2),
 * if_nametoindex(3), flock(2), close(2).
 */
import { type Koffi, loadKoffi } from "./koffi.ts";
import { systemError } from "./system-error.ts";

/** Every function throws an Error with `code`, `errno` and `syscall` when the call fails. */
export interface Libc {
  /** sizeof(size_t), for control messages. */
  readonly wordBytes: number;
  /** Returns the new descriptor. */
  socket(options: { readonly domain: number; readonly type: number; readonly protocol: number }): number;
  /** O_NONBLOCK (a number of its own on each system) and FD_CLOEXEC, where socket() cannot set them itself. */
  setNonBlocking(fd: number, options: { readonly nonBlocking: number }): void;
  setsockopt(fd: number, option: SocketOption): void;
  /** SO_ATTACH_FILTER, whose value holds a pointer to `instructions` (struct sock_filter[]). */
  attachFilter(fd: number, option: FilterOption): void;
  connect(fd: number, address: Uint8Array): void;
  bind(fd: number, address: Uint8Array): void;
  /** Returns the local address, a struct sockaddr. */
  getsockname(fd: number): Uint8Array;
  send(fd: number, message: Message): void;
  /** As send, without control messages, whose layout is not the same on all systems. */
  sendTo(fd: number, message: Pick<Message, "bytes" | "address">): void;
  /**
   * Reads one datagram into `packet` and its sender into `address`; returns its length (cut to that of `packet`), or
   * undefined when there is none. An error that is pending on the socket is taken away by this and counts as none.
   */
  receive(fd: number, into: ReceiveBuffers): number | undefined;
  /** As receive, but an error of the socket (ENOBUFS: something was lost, ...) is thrown. */
  receiveChecked(fd: number, into: ReceiveBuffers): number | undefined;
  /** The number of a network interface. Throws ENXIO (Linux: ENODEV) when there is none of this name. */
  interfaceIndex(name: string): number;
  /** The name of a network interface, undefined when there is none of this number. */
  interfaceName(index: number): string | undefined;
  /** Locks the whole file for this opening of it. Throws EAGAIN when another one has it; never waits. */
  lockFile(fd: number): void;
  close(fd: number): void;
}

interface ReceiveBuffers {
  readonly packet: Uint8Array;
  readonly address: Uint8Array;
}

interface SocketOption {
  readonly level: number;
  readonly option: number;
  /** For the error: "SO_MARK". */
  readonly name: string;
  readonly value: Uint8Array;
}

interface FilterOption {
  readonly level: number;
  readonly option: number;
  readonly name: string;
  readonly instructions: Uint8Array;
}

interface Message {
  readonly bytes: Uint8Array;
  /** struct sockaddr of the receiver. */
  readonly address: Uint8Array;
  /** Control messages (cmsg(3)), complete with padding. */
  readonly control?: Uint8Array | undefined;
}

/** The largest struct sockaddr used here, sockaddr_in6. */
export const MAX_ADDRESS_BYTES = 28;

const FILTER_INSTRUCTION_BYTES = 8;

/** Of fcntl(2): the same numbers on Linux, FreeBSD and macOS. */
export const fcntlNumbers = { F_SETFD: 2, F_GETFL: 3, F_SETFL: 4, FD_CLOEXEC: 1 } as const;
/** With the final zero. */
const IF_NAMESIZE = 16;

/** LOCK_EX | LOCK_NB of flock(2): the same numbers on Linux, FreeBSD and macOS. */
const LOCK_EXCLUSIVE_NOW = 2 | 4;

let loading: Promise<Libc> | undefined;

/** Loads the C library that Node itself is linked with, once. Throws NATIVE_UNAVAILABLE. */
export function loadLibc(): Promise<Libc> {
  loading ??= loadKoffi().then(bindLibc);
  return loading;
}

function bindLibc(koffi: Koffi): Libc {
  const library = koffi.load(null);
  const filterProgram = koffi.struct({ len: "uint16_t", filter: "void *" });
  const ioVector = koffi.struct({ iov_base: "void *", iov_len: "size_t" });
  // musl has 32-bit lengths with padding where glibc has size_t: the same bytes, as the padding is zero.
  const messageHeader = koffi.struct({
    msg_name: "void *",
    msg_namelen: "uint32_t",
    msg_iov: koffi.pointer(ioVector),
    msg_iovlen: "size_t",
    msg_control: "void *",
    msg_controllen: "size_t",
    msg_flags: "int",
  });
  const socket = library.func("int socket(int domain, int type, int protocol)");
  // Declared variadic, because arguments after the dots are passed another way on macOS for arm64.
  const fcntl = library.func("int fcntl(int fd, int command, ...)");
  const setsockopt = library.func("int setsockopt(int fd, int level, int name, const void *value, uint32_t length)");
  const setFilter = library.func("setsockopt", "int", ["int", "int", "int", koffi.pointer(filterProgram), "uint32_t"]);
  const connect = library.func("int connect(int fd, const void *address, uint32_t length)");
  const bind = library.func("int bind(int fd, const void *address, uint32_t length)");
  const getsockname = library.func("int getsockname(int fd, void *address, void *length)");
  const sendmsg = library.func("sendmsg", "intptr_t", ["int", koffi.pointer(messageHeader), "int"]);
  const recvfrom = library.func(
    "intptr_t recvfrom(int fd, void *buffer, size_t size, int flags, void *address, void *length)",
  );
  const sendto = library.func(
    "intptr_t sendto(int fd, const void *buffer, size_t size, int flags, const void *address, uint32_t length)",
  );
  const if_nametoindex = library.func("uint32_t if_nametoindex(const char *name)");
  const if_indextoname = library.func("const char *if_indextoname(uint32_t index, void *buffer)");
  const flock = library.func("int flock(int fd, int operation)");
  const close = library.func("int close(int fd)");

  function check(result: unknown, syscall: string): number {
    const value = Number(result);
    if (value < 0) throw systemError(syscall, { errno: koffi.errno(), names: koffi.os.errno });
    return value;
  }

  const nothingThere: ReadonlySet<unknown> = new Set([koffi.os.errno.EAGAIN, koffi.os.errno.EINTR]);

  function receive(fd: number, { packet, address }: ReceiveBuffers): number {
    return Number(recvfrom(fd, packet, packet.length, 0, address, Uint32Array.of(address.length)));
  }

  return {
    wordBytes: koffi.sizeof("size_t"),
    socket({ domain, type, protocol }) {
      return check(socket(domain, type, protocol), "socket");
    },
    setNonBlocking(fd, { nonBlocking }) {
      const { F_SETFD, F_GETFL, F_SETFL, FD_CLOEXEC } = fcntlNumbers;
      check(fcntl(fd, F_SETFD, "int", FD_CLOEXEC), "fcntl");
      const flags = check(fcntl(fd, F_GETFL, "int", 0), "fcntl");
      check(fcntl(fd, F_SETFL, "int", flags | nonBlocking), "fcntl");
    },
    setsockopt(fd, { level, option, name, value }) {
      check(setsockopt(fd, level, option, value, value.length), `setsockopt ${name}`);
    },
    attachFilter(fd, { level, option, name, instructions }) {
      const program = { len: instructions.length / FILTER_INSTRUCTION_BYTES, filter: instructions };
      check(setFilter(fd, level, option, program, koffi.sizeof(filterProgram)), `setsockopt ${name}`);
    },
    connect(fd, address) {
      check(connect(fd, address, address.length), "connect");
    },
    bind(fd, address) {
      check(bind(fd, address, address.length), "bind");
    },
    getsockname(fd) {
      const address = new Uint8Array(MAX_ADDRESS_BYTES);
      const length = Uint32Array.of(address.length);
      check(getsockname(fd, address, length), "getsockname");
      return address.subarray(0, length[0]);
    },
    send(fd, { bytes, address, control }) {
      const header = {
        msg_name: address,
        msg_namelen: address.length,
        msg_iov: { iov_base: bytes, iov_len: bytes.length },
        msg_iovlen: 1,
        msg_control: control ?? null,
        msg_controllen: control?.length ?? 0,
        msg_flags: 0,
      };
      check(sendmsg(fd, header, 0), "sendmsg");
    },
    sendTo(fd, { bytes, address }) {
      check(sendto(fd, bytes, bytes.length, 0, address, address.length), "sendto");
    },
    receive(fd, into) {
      const length = receive(fd, into);
      return length < 0 ? undefined : length;
    },
    receiveChecked(fd, into) {
      const length = receive(fd, into);
      return length < 0 && nothingThere.has(koffi.errno()) ? undefined : check(length, "recvfrom");
    },
    interfaceIndex(name) {
      return Number(if_nametoindex(name)) || check(-1, "if_nametoindex");
    },
    interfaceName(index) {
      return (if_indextoname(index, new Uint8Array(IF_NAMESIZE)) as string | null) ?? undefined;
    },
    lockFile(fd) {
      check(flock(fd, LOCK_EXCLUSIVE_NOW), "flock");
    },
    close(fd) {
      check(close(fd), "close");
    },
  };
}
