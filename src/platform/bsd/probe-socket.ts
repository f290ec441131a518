/** The probe socket of FreeBSD and macOS: libpcap beside WireGuard's socket, and a raw socket to send by. */
import { StunmeshError } from "../../errors.ts";
import { openPcapProbeSocket } from "../pcap/probe-socket.ts";
import type { ReadDefaultRoute } from "../pcap/types.ts";
import type { ProbeSocket, ProbeSocketOptions } from "../types.ts";
import { openSender, type TunnelEscape } from "./sender.ts";
import type { BsdHost } from "./system.ts";

interface ProbeSocketDeps {
  loadHost(): Promise<BsdHost>;
  readonly readDefaultRoute: ReadDefaultRoute;
  /** How datagrams get around the tunnel. */
  findEscape(options: ProbeSocketOptions): Promise<TunnelEscape>;
}

/** Opens a probe socket. Throws as openPcapProbeSocket does, and PLATFORM_UNSUPPORTED for `capture: raw`. */
export async function openProbeSocket(options: ProbeSocketOptions, deps: ProbeSocketDeps): Promise<ProbeSocket> {
  if (options.capture === "raw") {
    const why = 'a raw socket gets no UDP on this system; set "capture" to "auto" or "pcap"';
    throw new StunmeshError("PLATFORM_UNSUPPORTED", `Cannot listen by a raw socket: ${why}`);
  }
  const host = await deps.loadHost();
  return openPcapProbeSocket(options, {
    clock: host.clock,
    system: host.system.name,
    readDefaultRoute: deps.readDefaultRoute,
    openSender: async (sender) => openSender(sender, { host, tunnelEscape: await deps.findEscape(sender) }),
  });
}
