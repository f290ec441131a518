/**
 * Pings any number of targets behind one network interface with one raw ICMP socket.
 *
 * macOS binds the socket to the interface (IP_BOUND_IF). FreeBSD cannot: there the route decides, and a request whose route
 * does not leave by the interface is refused before it is sent, as an answer from elsewhere would say nothing about the
 * tunnel. An answer must come from the target with the random data of the request; by which interface it came in is not
 * asked. RFC 792, RFC 4443, icmp(4), icmp6(4).
 */
import { formatIp } from "../../address.ts";
import { createEchoExchange, icmpProtocols } from "../echo.ts";
import { decodeEchoReply, decodeEchoReplyOverIpv4 } from "../frame.ts";
import { MAX_ADDRESS_BYTES } from "../native/libc.ts";
import { watchReadable } from "../native/readable.ts";
import { systemCallFailed } from "../native/system-error.ts";
import type { Pinger, PingerOptions } from "../types.ts";
import { restoreIpv4Header } from "./ipv4-header.ts";
import { type BsdSocket, bindToInterface, intBytes, openSocket, setOption } from "./socket.ts";
import { decodeIp, encodeSocketAddress } from "./socket-address.ts";
import { addressesOf, readSourceAddress } from "./source-address.ts";
import type { BsdHost } from "./system.ts";

/** More than any answer that is waited for: a longer one arrives cut, and is refused for its length. */
const PACKET_MAX_BYTES = 2048;
/** After so many packets other work gets its turn. */
const PACKETS_PER_TURN = 128;
/** The answers to 1,000 requests sent in one go wait here until the last is sent. */
const RECEIVE_BUFFER_BYTES = 1 << 20;
/** How long the addresses of the interface are believed. */
const ADDRESSES_MAX_AGE_MS = 1_000;
/** connect() wants a port; the route does not depend on it. */
const ANY_PORT = 9;
const ICMP6_ECHO_REPLY = 129;

/** Opens a pinger. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED (ENXIO: no such interface, ...) or NATIVE_UNAVAILABLE. */
export function openPinger(host: BsdHost, options: PingerOptions): Pinger {
  const { family, fib } = options;
  const { libc, system, clock, koffi } = host;
  const { constants } = system;
  const action = `open a raw ICMP socket on "${options.interface}"`;
  const index = indexOf(host, { name: options.interface, action });
  const socket = openSocket(host, { family, type: "raw", protocol: icmpProtocols[family], action, fib });
  const { fd } = socket;
  const buffers = { packet: new Uint8Array(PACKET_MAX_BYTES), address: new Uint8Array(MAX_ADDRESS_BYTES) };
  let own: { readonly addresses: readonly string[]; readonly readAtMs: number } | undefined;
  let isClosed = false;

  const echoes = createEchoExchange({
    family,
    interface: options.interface,
    clock,
    send(message, destination) {
      if (constants.IP_BOUND_IF === undefined) assertRoute(destination);
      libc.sendTo(fd, { bytes: message, address: encodeSocketAddress(destination, { port: 0, families: constants }) });
    },
  });

  /** An interface without an address of the family cannot be told from others this way: then the route is believed. */
  function assertRoute(ip: Uint8Array): void {
    const nowMs = clock.monotonic();
    if (!own || nowMs - own.readAtMs > ADDRESSES_MAX_AGE_MS) {
      const addresses = addressesOf(host.readInterfaces(), { name: options.interface, family });
      own = { addresses, readAtMs: nowMs };
    }
    if (own.addresses.length === 0) return;
    const source = formatIp(readSourceAddress(host, { family, ip, port: ANY_PORT, fib }));
    if (own.addresses.includes(source)) return;
    throw new Error(`its route does not lead through that interface, but would be sent from ${source}`);
  }

  function onReadable(): void {
    for (let count = 0; count < PACKETS_PER_TURN && !isClosed; count++) {
      const length = libc.receive(fd, buffers);
      if (length === undefined) return;
      onPacket(buffers.packet.subarray(0, length));
    }
  }

  function onPacket(bytes: Uint8Array): void {
    if (family === "ipv6") {
      const source = decodeIp(buffers.address, constants);
      const reply = decodeEchoReply(bytes);
      if (reply && source) echoes.onReply(reply, source);
      return;
    }
    const packet = system.rawIpv4Header === "host" ? restoreIpv4Header(bytes) : bytes;
    const reply = packet && decodeEchoReplyOverIpv4(packet);
    if (reply) echoes.onReply(reply, reply.source);
  }

  try {
    bindToInterface(socket, index);
    if (family === "ipv6") passOnlyEchoReplies(socket);
    enlargeReceiveBuffer(socket);
    const watch = watchReadable(fd, { koffi, clock, onReadable });
    return {
      ping: echoes.ping,
      async close() {
        if (isClosed) return;
        isClosed = true;
        watch.close();
        libc.close(fd);
        echoes.close();
      },
    };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function indexOf({ libc }: BsdHost, { name, action }: { readonly name: string; readonly action: string }): number {
  try {
    return libc.interfaceIndex(name);
  } catch (cause) {
    throw systemCallFailed(action, cause);
  }
}

/** struct icmp6_filter: a bit for each type, in 32-bit words. Here a bit that is set lets through; on Linux it blocks. */
function passOnlyEchoReplies(socket: BsdSocket): void {
  const { IPPROTO_ICMPV6, ICMP6_FILTER } = socket.host.system.constants;
  const words = new Uint32Array(8);
  words[ICMP6_ECHO_REPLY >> 5] = 1 << (ICMP6_ECHO_REPLY & 31);
  const value = new Uint8Array(words.buffer);
  setOption(socket, { level: IPPROTO_ICMPV6, option: ICMP6_FILTER, name: "ICMP6_FILTER", value });
}

function enlargeReceiveBuffer(socket: BsdSocket): void {
  const { SOL_SOCKET, SO_RCVBUF } = socket.host.system.constants;
  try {
    setOption(socket, {
      level: SOL_SOCKET,
      option: SO_RCVBUF,
      name: "SO_RCVBUF",
      value: intBytes(RECEIVE_BUFFER_BYTES),
    });
  } catch {
    // More than kern.ipc.maxsockbuf allows: what the system gives by itself is smaller, and still right.
  }
}
