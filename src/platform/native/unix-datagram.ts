/**
 * A socket that sends datagrams to a local socket, by path or abstract name. Node has none of this kind. Linux only.
 * See unix(7).
 */
import { endianness } from "node:os";
import { loadLibc } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
/** Programs that this one starts must not get it. */
const SOCK_CLOEXEC = 0o2000000;
/** sun_path of struct sockaddr_un. */
const MAX_NAME_BYTES = 108;

export interface UnixDatagram {
  /** Sends one datagram now or not at all; throws an Error with `code`, EAGAIN when the receiver's queue is full. */
  send(text: string): void;
  /** Nothing must be sent afterwards; a second time does nothing. */
  close(): void;
}

/**
 * Opens a socket that sends to `name`: an absolute path, or `@name` for an abstract one. Throws RangeError for any other
 * name, NATIVE_UNAVAILABLE, and what socket(2) fails with.
 */
export async function openUnixDatagram(name: string): Promise<UnixDatagram> {
  const address = encodeUnixAddress(name);
  const libc = await loadLibc();
  const fd = libc.socket({ domain: AF_UNIX, type: SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol: 0 });
  let isClosed = false;
  return {
    send: (text) => libc.send(fd, { bytes: Buffer.from(text), address }),
    close() {
      // The number may be that of another descriptor by now.
      if (isClosed) return;
      isClosed = true;
      libc.close(fd);
    },
  };
}

/** struct sockaddr_un of `/path` or `@abstract`. Throws RangeError. */
export function encodeUnixAddress(name: string): Uint8Array {
  const path = Buffer.from(name);
  const isAbstract = name.startsWith("@");
  // A path ends with NUL; an abstract name begins with it, and is as long as the address says.
  const length = path.length + (isAbstract ? 0 : 1);
  if (!/^[/@]./s.test(name) || name.includes("\0") || length > MAX_NAME_BYTES) {
    throw new RangeError(`Cannot send to "${name}": not an absolute path or @name of at most ${MAX_NAME_BYTES} bytes`);
  }
  const address = new Uint8Array(2 + length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, endianness() === "LE");
  address.set(path, 2);
  if (isAbstract) address[2] = 0;
  return address;
}
