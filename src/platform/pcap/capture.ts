/**
 * Listens on several network interfaces at once for the datagrams one discovery waits for.
 *
 * All handles live until close(); one that breaks is reported and given up, the others go on. A capture sees what merely
 * passes through this host as well: only datagrams for an address of our own are delivered, or a router would take the
 * answer to a machine behind it for its own.
 */
import { type Family, formatIp } from "../../address.ts";
import type { Clock } from "../../clock.ts";
import { describeError, errorCode, StunmeshError } from "../../errors.ts";
import { hasWord } from "../frame.ts";
import type { NetworkInterface } from "../native/network-interfaces.ts";
import type { PcapHandle } from "../native/pcap-handle.ts";
import type { Datagram } from "../types.ts";
import { formatFilter } from "./filter.ts";
import type { Skipped } from "./interfaces.ts";
import { decodeFrame, isKnownLinkType } from "./link-frame.ts";

/** A router may see many datagrams for others: its own addresses are read anew at most this often. */
const ADDRESSES_LAST_MS = 1_000;

interface CaptureOptions {
  readonly family: Family;
  readonly localPort: number;
  readonly match: { readonly offset: number; readonly value: number };
  /** Interfaces to listen on. */
  readonly names: readonly string[];
  /** They were named by a person, who is to know when packets of one of them cannot be read at all. */
  readonly areNamed: boolean;
  onDatagram(datagram: Datagram): void;
  onSkipped(skipped: Skipped): void;
}

interface CaptureDeps {
  readonly clock: Clock;
  openHandle(name: string): PcapHandle;
  readInterfaces(): readonly NetworkInterface[];
}

export interface Capture {
  /**
   * Nothing is delivered any more. The handles are closed after that, one in each of the next turns of the event loop,
   * because closing one takes Linux 20 to 30 ms. Does nothing the second time.
   */
  close(): void;
}

/**
 * Opens a handle on each of `names`, with a turn of the event loop between two. Throws PERMISSION_DENIED when that is why
 * none could be opened, else SYSTEM_CALL_FAILED with the reason for each.
 */
export async function openCapture(options: CaptureOptions, deps: CaptureDeps): Promise<Capture> {
  const { names, onSkipped } = options;
  const isOurs = createOwnAddresses(deps);
  const handles = new Map<string, PcapHandle>();
  const failures: { readonly name: string; readonly error: unknown }[] = [];
  for (const name of names) {
    try {
      const handle = openFiltered(name, options, deps);
      if (handle) handles.set(name, handle);
    } catch (error) {
      failures.push({ name, error });
    }
    await nextTurn();
  }
  if (handles.size === 0) throw nothingOpened(names, failures);
  for (const [name, handle] of handles) listen(name, handle);
  for (const { name, error } of failures) onSkipped({ interface: name, reason: describeError(error) });

  function listen(name: string, handle: PcapHandle): void {
    handle.listen({
      onFrame: (frame) => onFrame(frame, handle.linkType),
      onBroken(error) {
        handles.delete(name);
        handle.close();
        onSkipped({ interface: name, reason: describeError(error) });
      },
    });
  }

  function onFrame(frame: Uint8Array, linkType: number): void {
    const packet = decodeFrame(frame, linkType);
    if (packet?.to.port !== options.localPort || packet.to.family !== options.family) return;
    // Before the filter was in place anything could come.
    if (!hasWord(packet.payload, options.match) || !isOurs(packet.to.host)) return;
    options.onDatagram({ payload: packet.payload, from: packet.from });
  }

  return {
    close() {
      const open = [...handles.values()];
      handles.clear();
      // Closing cannot fail.
      void closeAll(open);
    },
  };
}

/** Undefined when no answer can come by this interface (pflog0, enc0 and the like) and nobody asked for it by name. */
function openFiltered(name: string, options: CaptureOptions, { openHandle }: CaptureDeps): PcapHandle | undefined {
  const { family, localPort, match, areNamed } = options;
  const handle = openHandle(name);
  try {
    const { linkType } = handle;
    if (isKnownLinkType(linkType)) {
      handle.setFilter(formatFilter({ family, port: localPort, match }, linkType));
      return handle;
    }
    handle.close();
    if (!areNamed) return undefined;
  } catch (error) {
    handle.close();
    throw error;
  }
  const text = `Cannot listen on "${name}": its packets are of link type ${handle.linkType}, which is not known here`;
  throw new StunmeshError("SYSTEM_CALL_FAILED", text);
}

/** Whether an address is one of this host: as it was at first, or as it is now that one comes that was not. */
function createOwnAddresses({ clock, readInterfaces }: CaptureDeps): (host: string) => boolean {
  let own = read();
  let readAtMs = Number.NEGATIVE_INFINITY;

  function read(): ReadonlySet<string> {
    return new Set(readInterfaces().flatMap(({ addresses }) => addresses.map(formatIp)));
  }

  return (host) => {
    if (own.has(host)) return true;
    if (clock.monotonic() - readAtMs < ADDRESSES_LAST_MS) return false;
    readAtMs = clock.monotonic();
    try {
      own = read();
    } catch {
      // Those known before are as good as can be had; the next unknown address makes another try.
      return false;
    }
    return own.has(host);
  };
}

function nothingOpened(
  names: readonly string[],
  failures: readonly { readonly name: string; readonly error: unknown }[],
): StunmeshError {
  const errors = failures.map(({ error }) => error);
  const denied = errors.find((error) => errorCode(error) === "PERMISSION_DENIED");
  if (denied instanceof StunmeshError) return denied;
  const others = names.filter((name) => !failures.some((failure) => failure.name === name));
  const whys = [
    ...new Set(errors.map(describeError)),
    ...(others.length === 0 ? [] : [`no packets of IP come by ${others.join(", ")}`]),
  ];
  return new StunmeshError("SYSTEM_CALL_FAILED", `Cannot listen for answers: ${whys.join("; ")}`, { cause: errors[0] });
}

async function closeAll(handles: readonly PcapHandle[]): Promise<void> {
  for (const handle of handles) handle.stop();
  for (const handle of handles) {
    await nextTurn();
    handle.close();
  }
}

/** Opening and closing take long enough that other work should have its turn. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
