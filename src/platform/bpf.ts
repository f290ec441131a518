/**
 * Classic BPF programs that choose the packets a socket gets, as data. Pure.
 *
 * A program is a list of steps that all must hold; the first that fails, or that reads beyond the packet, drops it. So
 * "accept" is only ever reached at the end. Networking byte order is BPF's own: loads are big-endian on every machine.
 * See the kernel's Documentation/networking/filter.rst and bpf(4).
 */
import { endianness } from "node:os";

interface BpfInstruction {
  readonly code: number;
  /** Instructions to skip when a comparison holds, and when it does not. */
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

export type BpfProgram = readonly BpfInstruction[];

/** Operation codes of linux/filter.h. "At x" reads at register X + k. */
const op = {
  loadByte: 0x30, // BPF_LD | BPF_B | BPF_ABS
  loadHalf: 0x28, // BPF_LD | BPF_H | BPF_ABS
  loadWord: 0x20, // BPF_LD | BPF_W | BPF_ABS
  loadByteAtX: 0x50, // BPF_LD | BPF_B | BPF_IND
  loadHalfAtX: 0x48, // BPF_LD | BPF_H | BPF_IND
  loadWordAtX: 0x40, // BPF_LD | BPF_W | BPF_IND
  loadXWithHeaderLength: 0xb1, // BPF_LDX | BPF_B | BPF_MSH: X = 4 * (byte at k & 15)
  jumpIfEqual: 0x15, // BPF_JMP | BPF_JEQ | BPF_K
  jumpIfAnySet: 0x45, // BPF_JMP | BPF_JSET | BPF_K
  return: 0x06, // BPF_RET | BPF_K: how many bytes of the packet to keep, 0 = drop it
} as const;

type Step =
  | readonly [what: Exclude<keyof typeof op, `jump${string}` | "return">, k: number]
  | readonly [what: "mustEqual" | "mustHaveNoneOf", k: number];

const KEEP_ALL_BYTES = 0x40000;
const PROTOCOL_UDP = 17;
const FRAGMENT_OFFSET_MASK = 0x1fff;
const ECHO_REPLY = 0; // RFC 792
const ECHO_REPLY_V6 = 129; // RFC 4443, section 4.2
const UDP_HEADER_BYTES = 8;

/** Drops everything: what a socket has from its first moment until it is set up. */
export const dropAll: BpfProgram = [{ code: op.return, jt: 0, jf: 0, k: 0 }];

/** Which UDP datagrams to keep: to `port`, with the big-endian `value` at `offset` of the payload. */
export interface UdpMatch {
  readonly port: number;
  readonly offset: number;
  readonly value: number;
}

/** For packets that begin with an IPv4 header (RFC 791), as a raw IPv4 socket of Linux gives them. */
export function udpOverIpv4({ port, offset, value }: UdpMatch): BpfProgram {
  return assemble([
    ["loadByte", 9],
    ["mustEqual", PROTOCOL_UDP],
    // A later fragment has payload where the UDP header is looked for.
    ["loadHalf", 6],
    ["mustHaveNoneOf", FRAGMENT_OFFSET_MASK],
    // With IP options the header is longer than 20 bytes.
    ["loadXWithHeaderLength", 0],
    ["loadHalfAtX", 2],
    ["mustEqual", port],
    ["loadWordAtX", UDP_HEADER_BYTES + offset],
    ["mustEqual", value],
  ]);
}

/** For packets that begin with the UDP header (RFC 768), as a raw IPv6 socket for UDP gives them (RFC 3542, section 3). */
export function udpAlone({ port, offset, value }: UdpMatch): BpfProgram {
  return assemble([
    ["loadHalf", 2],
    ["mustEqual", port],
    ["loadWord", UDP_HEADER_BYTES + offset],
    ["mustEqual", value],
  ]);
}

/** ICMP echo replies with `identifier`, in packets that begin with an IPv4 header. */
export function echoReplyOverIpv4(identifier: number): BpfProgram {
  return assemble([
    ["loadXWithHeaderLength", 0],
    ["loadByteAtX", 0],
    ["mustEqual", ECHO_REPLY],
    ["loadHalfAtX", 4],
    ["mustEqual", identifier],
  ]);
}

/** ICMPv6 echo replies with `identifier`, in packets that begin with the ICMPv6 header. */
export function echoReplyAlone(identifier: number): BpfProgram {
  return assemble([
    ["loadByte", 0],
    ["mustEqual", ECHO_REPLY_V6],
    ["loadHalf", 4],
    ["mustEqual", identifier],
  ]);
}

/** Encodes a program as an array of `struct sock_filter` { u16 code; u8 jt, jf; u32 k } in the machine's byte order. */
export function encodeBpf(program: BpfProgram, byteOrder: "LE" | "BE" = endianness()): Uint8Array {
  const bytes = new Uint8Array(program.length * 8);
  const view = new DataView(bytes.buffer);
  const isLittleEndian = byteOrder === "LE";
  program.forEach(({ code, jt, jf, k }, index) => {
    view.setUint16(index * 8, code, isLittleEndian);
    view.setUint8(index * 8 + 2, jt);
    view.setUint8(index * 8 + 3, jf);
    view.setUint32(index * 8 + 4, k, isLittleEndian);
  });
  return bytes;
}

/** Ends `steps` with "keep" and "drop", and points every condition's way out at the latter. */
function assemble(steps: readonly Step[]): BpfProgram {
  const instructions = steps.map(([what, k], index): BpfInstruction => {
    const toDrop = steps.length - index;
    switch (what) {
      case "mustEqual":
        return { code: op.jumpIfEqual, jt: 0, jf: toDrop, k: k >>> 0 };
      case "mustHaveNoneOf":
        return { code: op.jumpIfAnySet, jt: toDrop, jf: 0, k };
      default:
        return { code: op[what], jt: 0, jf: 0, k };
    }
  });
  return [...instructions, { code: op.return, jt: 0, jf: 0, k: KEEP_ALL_BYTES }, ...dropAll];
}
