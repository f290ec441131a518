/**
 * A probe socket that sends by a socket of the operating system and listens through libpcap, one handle for each
 * interface an answer may come in by. Needed where a raw socket gets no UDP: FreeBSD and macOS. See pcap(3PCAP).
 */
import { withDeadline } from "../../deadline.ts";
import { describeError, StunmeshError } from "../../errors.ts";
import { loadKoffi } from "../native/koffi.ts";
import { loadLibpcap } from "../native/libpcap.ts";
import { loadReadInterfaces, type NetworkInterface } from "../native/network-interfaces.ts";
import { openPcapHandle } from "../native/pcap-handle.ts";
import type { ProbeSocket, ProbeSocketOptions } from "../types.ts";
import { openCapture } from "./capture.ts";
import { chooseInterfaces, type Skipped } from "./interfaces.ts";
import type { PcapDeps } from "./types.ts";

const DEFAULT_ROUTE_TIMEOUT_MS = 2_000;

/** Opens a probe socket. Throws NATIVE_UNAVAILABLE, PERMISSION_DENIED or SYSTEM_CALL_FAILED, saying what was tried. */
export async function openPcapProbeSocket(options: ProbeSocketOptions, deps: PcapDeps): Promise<ProbeSocket> {
  const { family, localPort, match, onDatagram } = options;
  const { clock, openSender, system } = deps;
  const koffi = await loadKoffi();
  const libpcap = await loadLibpcap(system);
  const readInterfaces = await loadReadInterfaces(system);
  const onSkipped = (skipped: Skipped) => options.onSkipped?.(skipped);
  const areNamed = options.interfaces.length > 0 || options.listenDefaultRoute;
  const { names, skipped } = await findInterfaces(options, { deps, present: readInterfaces() });
  for (const one of skipped) onSkipped(one);
  if (names.length === 0) throw nothingToListenOn(options, skipped);
  const sender = await openSender(options);
  try {
    const capture = await openCapture(
      { family, localPort, match, names, areNamed, onDatagram, onSkipped },
      { clock, readInterfaces, openHandle: (name) => openPcapHandle(name, { libpcap, koffi, system, clock }) },
    );
    return {
      async send(payload, to) {
        sender.send(payload, to);
      },
      async close() {
        sender.close();
        capture.close();
      },
    };
  } catch (error) {
    sender.close();
    throw error;
  }
}

interface Found {
  readonly names: readonly string[];
  readonly skipped: readonly Skipped[];
}

async function findInterfaces(
  options: ProbeSocketOptions,
  { deps, present }: { readonly deps: PcapDeps; readonly present: readonly NetworkInterface[] },
): Promise<Found> {
  const { interfaces: named, listenDefaultRoute, excludeInterface: exclude } = options;
  if (!listenDefaultRoute) return chooseInterfaces({ present, named, all: named.length === 0, exclude });
  const { name, whyNone } = await findDefaultRoute(options, deps);
  const choice = chooseInterfaces({ present, named, defaultRoute: name, all: false, exclude });
  if (whyNone === undefined) return choice;
  return { ...choice, skipped: [...choice.skipped, { interface: "default route", reason: whyNone }] };
}

async function findDefaultRoute(
  { family, fib }: ProbeSocketOptions,
  { clock, readDefaultRoute }: PcapDeps,
): Promise<{ readonly name?: string; readonly whyNone?: string }> {
  const limits = { clock, timeoutMs: DEFAULT_ROUTE_TIMEOUT_MS, action: "read the default route" };
  try {
    const name = await withDeadline(limits, (signal) => readDefaultRoute(family, { fib, signal }));
    return name === undefined ? { whyNone: `there is none for ${family === "ipv4" ? "IPv4" : "IPv6"}` } : { name };
  } catch (error) {
    return { whyNone: describeError(error) };
  }
}

function nothingToListenOn({ excludeInterface }: ProbeSocketOptions, skipped: readonly Skipped[]): StunmeshError {
  const why =
    skipped.length === 0
      ? `no network interface is up, but for loopback and "${excludeInterface}"`
      : skipped.map((one) => `${one.interface}: ${one.reason}`).join("; ");
  return new StunmeshError("SYSTEM_CALL_FAILED", `Cannot listen for answers: ${why}`);
}
