/**
 * One libpcap handle on one network interface: opened, filtered, watched, closed. Knows nothing of what is in a packet.
 *
 * After stop() nobody is called any more, and after close() the handle is not used any more, whatever events were still
 * under way. An interface that goes away under a handle breaks it: said once, and nothing is read from it afterwards.
 */
import type { Clock } from "../../clock.ts";
import { StunmeshError } from "../../errors.ts";
import type { Koffi } from "./koffi.ts";
import type { Libpcap, PcapPointer, PcapSystem } from "./libpcap.ts";
import { type ReadableWatch, watchByTimer, watchReadable } from "./readable.ts";

/** Headers and a STUN message up to what a path carries without fragments; what is longer arrives cut. */
const SNAPLEN_BYTES = 2048;
/**
 * Room for packets that were not read yet. libpcap's own choice is 2 MB of the kernel's memory for every handle; of what
 * passes the filter there is one packet every now and then.
 */
const BUFFER_BYTES = 1 << 16;
/** For systems without immediate mode: how long a packet may lie in the kernel. */
const TIMEOUT_MS = 20;
const DIRECTION_IN = 1;
/** After so many packets other work gets its turn. */
const PACKETS_PER_TURN = 64;
/** How often a handle is looked at besides, where its descriptor does not tell everything. */
const SLOW_TIMER_MS = 100;

/** PCAP_ERROR_PERM_DENIED and PCAP_ERROR_PROMISC_PERM_DENIED. */
const PERMISSION_STATUS: ReadonlySet<number> = new Set([-8, -11]);

const howToPermit = {
  linux:
    "it needs the capability CAP_NET_RAW; run as root, or with " +
    '"AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN" in the systemd unit',
  freebsd: "it needs to read and write /dev/bpf*; run as root",
  darwin: "it needs to read and write /dev/bpf*; run as root (sudo)",
} as const satisfies Record<PcapSystem, string>;

interface OpenOptions {
  readonly libpcap: Libpcap;
  readonly koffi: Koffi;
  readonly system: PcapSystem;
  readonly clock: Clock;
}

interface Listener {
  /** Gets a copy of each packet as captured, link-layer header first. Must not throw; may stop and close. */
  onFrame(frame: Uint8Array): void;
  /** The interface is gone, or down, or cannot be read for another reason. Called once. Must not throw; may close. */
  onBroken(error: StunmeshError): void;
}

export interface PcapHandle {
  /** DLT_ value: what the packets begin with. */
  readonly linkType: number;
  /** Compiles `expression` (pcap-filter(7)) for this link type and lets only such packets in. Throws SYSTEM_CALL_FAILED. */
  setFilter(expression: string): void;
  /** Begins to deliver; never before it returns. To be called once. */
  listen(listener: Listener): void;
  /** Nobody is called again. */
  stop(): void;
  /** Stops and gives everything back: 20 to 30 ms on Linux, where the kernel waits for its processors. Does nothing twice. */
  close(): void;
}

/**
 * Opens a handle on the interface `device` for incoming packets, without a filter yet. Throws PERMISSION_DENIED (how to get
 * it) or SYSTEM_CALL_FAILED (no such interface, it is down, ...).
 */
export function openPcapHandle(device: string, options: OpenOptions): PcapHandle {
  const { libpcap, system } = options;
  const handle = createHandle(device, libpcap);
  try {
    activate(handle, { device, libpcap, system });
    return watchedHandle(handle, { ...options, device });
  } catch (error) {
    libpcap.close(handle);
    throw error;
  }
}

function createHandle(device: string, libpcap: Libpcap): PcapPointer {
  try {
    return libpcap.create(device);
  } catch (cause) {
    throw captureFailed(device, cause instanceof Error ? cause.message : String(cause));
  }
}

interface Opened {
  readonly device: string;
  readonly libpcap: Libpcap;
  readonly system: PcapSystem;
}

function activate(handle: PcapPointer, { device, libpcap, system }: Opened): void {
  libpcap.setSnaplen(handle, SNAPLEN_BYTES);
  libpcap.setPromiscuous(handle, 0);
  libpcap.setTimeoutMs(handle, TIMEOUT_MS);
  // Either may be refused by an old library: packets come later then, or take more room.
  libpcap.setImmediateMode(handle, 1);
  libpcap.setBufferSize(handle, BUFFER_BYTES);
  const status = libpcap.activate(handle);
  // More than 0 is a warning.
  if (status < 0) {
    const why = describeStatus(handle, { status, libpcap });
    if (!PERMISSION_STATUS.has(status)) throw captureFailed(device, why);
    const text = `Cannot listen on "${device}": ${why}: ${howToPermit[system]}`;
    throw new StunmeshError("PERMISSION_DENIED", text);
  }
  const nonblock = libpcap.setNonblock(handle);
  if (nonblock < 0) throw captureFailed(device, describeStatus(handle, { status: nonblock, libpcap }));
  // Not everywhere possible, and nothing depends on it: our own packets are addressed to others.
  libpcap.setDirection(handle, DIRECTION_IN);
}

function watchedHandle(handle: PcapPointer, options: OpenOptions & { readonly device: string }): PcapHandle {
  const { libpcap, device } = options;
  let watches: readonly ReadableWatch[] = [];
  let isStopped = false;
  let isClosed = false;

  function stop(): void {
    isStopped = true;
    for (const watch of watches) watch.close();
    watches = [];
  }

  function listen({ onFrame, onBroken }: Listener): void {
    let isScheduled = false;

    function readTurn(): void {
      for (let count = 0; count < PACKETS_PER_TURN; count++) {
        if (isStopped) return;
        const packet = libpcap.next(handle);
        if (packet === undefined) return;
        if (typeof packet === "number") {
          const why = describeStatus(handle, { status: packet, libpcap });
          stop();
          onBroken(captureFailed(device, why));
          return;
        }
        onFrame(packet);
      }
      readOn();
    }

    /** What libpcap has taken from the kernel already does not make the descriptor readable again. */
    function readOn(): void {
      if (isScheduled) return;
      isScheduled = true;
      setImmediate(() => {
        isScheduled = false;
        readTurn();
      });
    }

    watches = watchHandle(handle, { ...options, onReadable: readTurn });
  }

  return {
    linkType: libpcap.datalink(handle),
    setFilter(expression) {
      const status = libpcap.setFilter(handle, expression);
      if (status < 0) {
        throw captureFailed(device, `no filter "${expression}": ${describeStatus(handle, { status, libpcap })}`);
      }
    },
    listen,
    stop,
    close() {
      if (isClosed) return;
      isClosed = true;
      stop();
      libpcap.close(handle);
    },
  };
}

function watchHandle(
  handle: PcapPointer,
  { libpcap, koffi, system, clock, onReadable }: OpenOptions & { onReadable(): void },
): readonly ReadableWatch[] {
  const slow = () => watchByTimer({ clock, onReadable, everyMs: SLOW_TIMER_MS });
  const fd = libpcap.selectableFd(handle);
  if (fd < 0) return [watchByTimer({ clock, onReadable })];
  try {
    const watch = watchReadable(fd, { koffi, clock, onReadable });
    // BPF devices have had faults with select() and kqueue() in many releases.
    return system === "linux" && !libpcap.needsTimer(handle) ? [watch] : [watch, slow()];
  } catch {
    // A descriptor that the system's event queue does not take, as kqueue() refuses some devices.
    return [watchByTimer({ clock, onReadable })];
  }
}

/** libpcap says more about some failures in the handle, and about others only what the number means. */
function describeStatus(
  handle: PcapPointer,
  { status, libpcap }: { readonly status: number; readonly libpcap: Libpcap },
): string {
  const text = libpcap.geterr(handle);
  if (status === -1 && text !== "") return text;
  const meaning = libpcap.statusText(status);
  return text === "" || text === meaning ? meaning : `${meaning} (${text})`;
}

function captureFailed(device: string, why: string): StunmeshError {
  return new StunmeshError("SYSTEM_CALL_FAILED", `Cannot listen on "${device}": ${why}`);
}
