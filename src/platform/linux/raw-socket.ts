/**
 * A raw IP socket that gets only the packets its BPF filter keeps.
 *
 * Between socket() and the filter the kernel queues every packet of the protocol for us, also WireGuard's own traffic. So:
 * a filter that drops everything, then read the queue empty, then the real filter. Even so a packet that another processor
 * was just queueing can slip in: whoever gets packets matches them again. raw(7), socket(7).
 */
import type { Family } from "../../address.ts";
import type { Clock } from "../../clock.ts";
import { type BpfProgram, dropAll } from "../bpf.ts";
import { loadKoffi } from "../native/koffi.ts";
import { loadLibc, MAX_ADDRESS_BYTES } from "../native/libc.ts";
import { watchReadable } from "../native/readable.ts";
import { AF_INET, AF_INET6, encodePacketInfo, encodeSocketAddress, ipOfSocketAddress } from "./socket-address.ts";
import {
  attachFilter,
  bindToInterface,
  openSocket,
  SOCK_RAW,
  type Socket,
  setChecksumOffset,
  setFirewallMark,
  setReceiveBuffer,
} from "./socket-options.ts";

/** More than any packet that is waited for: a longer one arrives cut, and is refused for its length. */
const PACKET_MAX_BYTES = 2048;
/** After so many packets other work gets its turn. */
const PACKETS_PER_TURN = 128;

export interface RawSocketOptions {
  readonly family: Family;
  /** IP protocol number. */
  readonly protocol: number;
  /** What the socket is opened for, for errors: "open a raw UDP socket". */
  readonly action: string;
  readonly filter: BpfProgram;
  /** 0 = none. */
  readonly firewallMark?: number;
  /** Send and receive by this network interface only. */
  readonly interface?: string;
  /** IPv6: where the kernel is to write the checksum. */
  readonly checksumOffset?: number;
  /** Room for packets that arrive before they are read; undefined: the system's default. */
  readonly receiveBufferBytes?: number;
  readonly clock: Clock;
  /** Must not throw. */
  onPacket(packet: Packet): void;
}

/** Valid only during the callback: the next packet is written over it. */
export interface Packet {
  /** IPv4: from the IP header on; IPv6: from the header of the protocol on. */
  readonly bytes: Uint8Array;
  /** IP address of the sender, 4 or 16 bytes. */
  readonly source: Uint8Array;
}

export interface RawSocket {
  /**
   * Sends `bytes` (what follows the IP header) to an IP address of 4 or 16 bytes: from the IPv4 address `source`, or else
   * from one the kernel chooses. Throws the system's error, also when the socket is closed.
   */
  send(bytes: Uint8Array, to: { readonly destination: Uint8Array; readonly source?: Uint8Array }): void;
  /** onPacket is not called again. Does nothing the second time. */
  close(): void;
}

/** Opens a raw socket. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED or NATIVE_UNAVAILABLE. */
export async function openRawSocket(options: RawSocketOptions): Promise<RawSocket> {
  const libc = await loadLibc();
  const koffi = await loadKoffi();
  const { family, protocol, action, clock, onPacket } = options;
  const socket = openSocket(libc, { domain: family === "ipv4" ? AF_INET : AF_INET6, type: SOCK_RAW, protocol, action });
  const { fd } = socket;
  const buffers = { packet: new Uint8Array(PACKET_MAX_BYTES), address: new Uint8Array(MAX_ADDRESS_BYTES) };
  let isClosed = false;

  function onReadable() {
    for (let count = 0; count < PACKETS_PER_TURN && !isClosed; count++) {
      const length = libc.receive(fd, buffers);
      if (length === undefined) return;
      onPacket({ bytes: buffers.packet.subarray(0, length), source: ipOfSocketAddress(buffers.address) });
    }
  }

  try {
    setUp(socket, options);
    const watch = watchReadable(fd, { koffi, clock, onReadable });
    return {
      send(bytes, { destination, source }) {
        // The number of a closed descriptor may be somebody else's by now.
        if (isClosed) throw new Error("the socket is closed");
        const control = source && encodePacketInfo(source, libc.wordBytes);
        libc.send(fd, { bytes, address: encodeSocketAddress(destination), control });
      },
      close() {
        if (isClosed) return;
        isClosed = true;
        watch.close();
        libc.close(fd);
      },
    };
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function setUp(socket: Socket, options: RawSocketOptions): void {
  const { filter, firewallMark = 0, checksumOffset, receiveBufferBytes } = options;
  attachFilter(socket, dropAll);
  if (options.interface !== undefined) bindToInterface(socket, options.interface);
  if (firewallMark !== 0) setFirewallMark(socket, firewallMark);
  if (checksumOffset !== undefined) setChecksumOffset(socket, checksumOffset);
  if (receiveBufferBytes !== undefined) setReceiveBuffer(socket, receiveBufferBytes);
  drain(socket);
  attachFilter(socket, filter);
}

/** Reads away what was queued before the first filter; no more can come, so this ends. */
function drain({ libc, fd }: Socket): void {
  const scrap = { packet: new Uint8Array(1), address: new Uint8Array(MAX_ADDRESS_BYTES) };
  while (libc.receive(fd, scrap) !== undefined);
}
