/**
 * The system's own libpcap: its functions, one for one, without any policy.
 *
 * Nothing waits: handles are put into non-blocking mode, and koffi's `.async()` is never used. Packets are asked for one by
 * one (pcap_next_ex), so that C never calls back into JavaScript. Invariant: a handle that was closed is not used again,
 * which is the caller's to see to (pcap-handle.ts). See pcap(3PCAP).
 */
import { endianness } from "node:os";
import { StunmeshError } from "../../errors.ts";
import { type Koffi, loadKoffi } from "./koffi.ts";

/** Names of the shared library, in the order they are tried, and what to do when there is none. */
export const pcapLibraries = {
  // Debian's has a name of its own; the last one comes with the headers.
  linux: {
    names: ["libpcap.so.1", "libpcap.so.0.8", "libpcap.so"],
    install: "install libpcap (Debian and Ubuntu: libpcap0.8, Alpine and Fedora: libpcap)",
  },
  freebsd: { names: ["libpcap.so.8", "libpcap.so"], install: "it is part of FreeBSD's base system" },
  darwin: { names: ["/usr/lib/libpcap.A.dylib", "libpcap.dylib"], install: "it is part of macOS" },
} as const;

export type PcapSystem = keyof typeof pcapLibraries;

/** A pcap_t. */
export type PcapPointer = bigint;

/** Every function but `geterr` and `close` returns what C does: 0 or more is success. */
export interface Libpcap {
  /** "libpcap version 1.10.3 (with TPACKET_V3)". */
  readonly version: string;
  /**
   * pcap_create(); throws an Error with libpcap's text. To be activated before it is closed, successfully or not: else libpcap
   * 1.10 leaves a descriptor open.
   */
  create(device: string): PcapPointer;
  setSnaplen(handle: PcapPointer, bytes: number): number;
  setPromiscuous(handle: PcapPointer, on: number): number;
  setImmediateMode(handle: PcapPointer, on: number): number;
  setTimeoutMs(handle: PcapPointer, ms: number): number;
  setBufferSize(handle: PcapPointer, bytes: number): number;
  activate(handle: PcapPointer): number;
  setNonblock(handle: PcapPointer): number;
  setDirection(handle: PcapPointer, direction: number): number;
  datalink(handle: PcapPointer): number;
  /** pcap_compile() for the handle's link type, pcap_setfilter(), pcap_freecode(). */
  setFilter(handle: PcapPointer, expression: string): number;
  /** -1: there is none. */
  selectableFd(handle: PcapPointer): number;
  /** Whether the descriptor alone does not tell everything, and the handle is to be looked at on a timer too. */
  needsTimer(handle: PcapPointer): boolean;
  /** A copy of the next packet as it was captured, undefined when there is none now, or the negative status. */
  next(handle: PcapPointer): Uint8Array | number | undefined;
  /** libpcap's text about the last failure of this handle; may be empty. */
  geterr(handle: PcapPointer): string;
  /** libpcap's text about a status. */
  statusText(status: number): string;
  close(handle: PcapPointer): void;
}

const ERROR_BUFFER_BYTES = 256;
const NETMASK_UNKNOWN = 0xffffffff;
const OPTIMIZE = 1;

const loading = new Map<PcapSystem, Promise<Libpcap>>();

/** Loads libpcap once. Throws NATIVE_UNAVAILABLE, saying what to install; tried again at the next call then. */
export function loadLibpcap(system: PcapSystem): Promise<Libpcap> {
  const known = loading.get(system);
  if (known !== undefined) return known;
  const started = loadKoffi().then((koffi) => openLibrary(koffi, system));
  loading.set(system, started);
  started.catch(() => loading.delete(system));
  return started;
}

/** As loadLibpcap, for one `koffi`; nothing is remembered. */
export function openLibrary(koffi: Koffi, system: PcapSystem): Libpcap {
  const { names, install } = pcapLibraries[system];
  const failures: unknown[] = [];
  for (const name of names) {
    let library: ReturnType<Koffi["load"]>;
    try {
      library = koffi.load(name);
    } catch (cause) {
      failures.push(cause);
      continue;
    }
    return bindLibpcap(koffi, library);
  }
  const tried = names.map((name) => `"${name}"`).join(", ");
  throw new StunmeshError("NATIVE_UNAVAILABLE", `Cannot load libpcap: found none of ${tried}; ${install}`, {
    cause: failures[0],
  });
}

function bindLibpcap(koffi: Koffi, library: ReturnType<Koffi["load"]>): Libpcap {
  const programType = koffi.struct({ bf_len: "uint", bf_insns: "void *" });
  const programPointer = koffi.pointer(programType);
  const create = library.func("void *pcap_create(const char *device, void *error)");
  const setNonblock = library.func("int pcap_setnonblock(void *handle, int on, void *error)");
  const compile = library.func("pcap_compile", "int", ["void *", koffi.out(programPointer), "str", "int", "uint32_t"]);
  const setFilter = library.func("pcap_setfilter", "int", ["void *", programPointer]);
  const freeCode = library.func("pcap_freecode", "void", [programPointer]);
  const offlineFilter = library.func("pcap_offline_filter", "int", [programPointer, "void *", "void *"]);
  const nextEx = library.func("int pcap_next_ex(void *handle, _Out_ void **header, _Out_ void **data)");

  /**
   * Where the captured length is in struct pcap_pkthdr { struct timeval ts; u32 caplen, len }: a timeval has 8 or 16 bytes
   * on 32-bit systems, whichever this libpcap was compiled with. So it is asked: a program that returns the packet's
   * length, given a header in which every word is another number, returns the number of that word.
   */
  function findCapturedLength(): number {
    const returnLength = encodeProgram([LOAD_LENGTH, RETURN_ACCUMULATOR]);
    const header = Uint32Array.from({ length: 16 }, (_, index) => index);
    const program = { bf_len: 2, bf_insns: returnLength };
    return (offlineFilter(program, header, new Uint8Array(16)) - 1) * Uint32Array.BYTES_PER_ELEMENT;
  }

  const capturedLengthOffset = BigInt(findCapturedLength());

  return {
    version: library.func("const char *pcap_lib_version()")(),
    create(device) {
      const error = new Uint8Array(ERROR_BUFFER_BYTES);
      const handle = create(device, error);
      if (handle === null) throw new Error(textOf(error));
      return handle;
    },
    setSnaplen: library.func("int pcap_set_snaplen(void *handle, int bytes)"),
    setPromiscuous: library.func("int pcap_set_promisc(void *handle, int on)"),
    setImmediateMode: library.func("int pcap_set_immediate_mode(void *handle, int on)"),
    setTimeoutMs: library.func("int pcap_set_timeout(void *handle, int ms)"),
    setBufferSize: library.func("int pcap_set_buffer_size(void *handle, int bytes)"),
    activate: library.func("int pcap_activate(void *handle)"),
    setNonblock: (handle) => setNonblock(handle, 1, new Uint8Array(ERROR_BUFFER_BYTES)),
    setDirection: library.func("int pcap_setdirection(void *handle, int direction)"),
    datalink: library.func("int pcap_datalink(void *handle)"),
    setFilter(handle, expression) {
      const program: object = {};
      const status = compile(handle, program, expression, OPTIMIZE, NETMASK_UNKNOWN);
      if (status < 0) return status;
      try {
        return setFilter(handle, program);
      } finally {
        freeCode(program);
      }
    },
    selectableFd: library.func("int pcap_get_selectable_fd(void *handle)"),
    needsTimer: bindNeedsTimer(library),
    next(handle) {
      const header: [bigint] = [0n];
      const data: [bigint] = [0n];
      const status = nextEx(handle, header, data);
      if (status <= 0) return status === 0 ? undefined : status;
      const length = koffi.decode.uint32(header[0] + capturedLengthOffset);
      // Copies, as it has to: the memory is written over by the next packet.
      return koffi.decode(data[0], "uint8_t", length);
    },
    geterr: library.func("const char *pcap_geterr(void *handle)"),
    statusText: library.func("const char *pcap_statustostr(int status)"),
    close: library.func("void pcap_close(void *handle)"),
  };
}

/** pcap_get_required_select_timeout() came with libpcap 1.9. */
function bindNeedsTimer(library: ReturnType<Koffi["load"]>): Libpcap["needsTimer"] {
  try {
    const requiredTimeout = library.func("void *pcap_get_required_select_timeout(void *handle)");
    return (handle) => requiredTimeout(handle) !== null;
  } catch {
    // Not known, so better looked at too often.
    return () => true;
  }
}

/** BPF_LD | BPF_W | BPF_LEN: the length the packet had. */
const LOAD_LENGTH = 0x80;
/** BPF_RET | BPF_A. */
const RETURN_ACCUMULATOR = 0x16;

/** struct bpf_insn { u16 code; u8 jt, jf; u32 k } with nothing but codes. */
function encodeProgram(codes: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(codes.length * 8);
  const view = new DataView(bytes.buffer);
  codes.forEach((code, index) => {
    view.setUint16(index * 8, code, endianness() === "LE");
  });
  return bytes;
}

function textOf(buffer: Uint8Array): string {
  return Buffer.from(buffer.subarray(0, buffer.indexOf(0))).toString();
}
