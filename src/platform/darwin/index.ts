/**
 * What macOS offers of the Platform: libpcap beside WireGuard's socket, a raw socket to send by, a routing socket. Needs
 * root. Where everything goes through the tunnel, datagrams are sent by the interface of the default route (IP_BOUND_IF).
 */
import type { Clock } from "../../clock.ts";
import { createReadDefaultRoute } from "../bsd/default-route.ts";
import { watchNetwork } from "../bsd/network-monitor.ts";
import { openPinger } from "../bsd/pinger.ts";
import { openProbeSocket } from "../bsd/probe-socket.ts";
import { type BsdHost, loadBsdHost } from "../bsd/system.ts";
import type { Platform } from "../types.ts";
import { darwin } from "./constants.ts";
import { findEscape } from "./escape.ts";

/** Makes the Platform of macOS; nothing native is loaded before a socket is opened. */
export function createDarwinPlatform({
  clock,
  loadHost = () => loadBsdHost(darwin, clock),
}: {
  readonly clock: Clock;
  /** Default: this machine. */
  readonly loadHost?: () => Promise<BsdHost>;
}): Platform {
  const readDefaultRoute = createReadDefaultRoute({ system: darwin, clock });
  return {
    name: darwin.name,
    openProbeSocket: (options) =>
      openProbeSocket(options, {
        loadHost,
        readDefaultRoute,
        findEscape: ({ family }) => findEscape(family, readDefaultRoute),
      }),
    openPinger: async (options) => openPinger(await loadHost(), options),
    watchNetwork: async (onChange, options) => watchNetwork(onChange, { ...options, host: await loadHost() }),
  };
}
