/**
 * A machine for classic BPF, as the kernel runs it: how many bytes of a packet a program keeps.
 *
 * A load beyond the packet drops the packet. Throws for a program the kernel would refuse: unknown operation, jump out of
 * the program, no return at its end.
 */
import type { BpfProgram } from "../../src/platform/bpf.ts";

/** Returns min(bytes the program keeps, length of the packet); 0 = dropped. */
export function runBpf(program: BpfProgram, packet: Uint8Array): number {
  checkProgram(program);
  const view = new DataView(packet.buffer, packet.byteOffset, packet.byteLength);
  let a = 0;
  let x = 0;
  for (let pc = 0; ; pc++) {
    const { code, jt, jf, k } = program[pc]!;
    switch (code) {
      case 0x30:
      case 0x28:
      case 0x20:
      case 0x50:
      case 0x48:
      case 0x40: {
        const loaded = load(view, { code, at: (code & 0x40 ? x : 0) + k });
        if (loaded === undefined) return 0;
        a = loaded;
        break;
      }
      case 0xb1:
        if (k >= packet.length) return 0;
        x = 4 * (packet[k]! & 0x0f);
        break;
      case 0x15:
        pc += a === k ? jt : jf;
        break;
      case 0x45:
        pc += (a & k) !== 0 ? jt : jf;
        break;
      case 0x06:
        return Math.min(k, packet.length);
      default:
        throw new Error(`Cannot run operation 0x${code.toString(16)}: not a known one`);
    }
  }
}

function load(view: DataView, { code, at }: { code: number; at: number }): number | undefined {
  const size = { 16: 1, 8: 2, 0: 4 }[code & 0x18] ?? 4;
  if (at + size > view.byteLength) return undefined;
  return size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at) : view.getUint32(at);
}

function checkProgram(program: BpfProgram): void {
  program.forEach(({ code, jt, jf }, pc) => {
    const isJump = (code & 7) === 5;
    const furthest = pc + (isJump ? Math.max(jt, jf) : 0) + (code === 0x06 ? 0 : 1);
    if (furthest >= program.length) throw new Error(`Cannot run the program: instruction ${pc} leaves it`);
    if (!Number.isInteger(jt) || jt < 0 || jt > 255 || !Number.isInteger(jf) || jf < 0 || jf > 255) {
      throw new Error(`Cannot run the program: instruction ${pc} jumps too far`);
    }
  });
}
