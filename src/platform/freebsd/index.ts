/**
 * What FreeBSD offers of the Platform: libpcap beside WireGuard's socket, a raw socket to send by, a routing socket. Needs
 * root. Another way out than the routing table's is a routing table of its own: `fib` of the interface (setfib(1)).
 */
import type { Clock } from "../../clock.ts";
import { createReadDefaultRoute } from "../bsd/default-route.ts";
import { watchNetwork } from "../bsd/network-monitor.ts";
import { openPinger } from "../bsd/pinger.ts";
import { openProbeSocket } from "../bsd/probe-socket.ts";
import { type BsdHost, loadBsdHost } from "../bsd/system.ts";
import type { Platform } from "../types.ts";
import { freebsd } from "./constants.ts";

const hint = 'set "fib" of the interface to a routing table whose default route goes around the tunnel';

/** Makes the Platform of FreeBSD; nothing native is loaded before a socket is opened. */
export function createFreebsdPlatform({
  clock,
  loadHost = () => loadBsdHost(freebsd, clock),
}: {
  readonly clock: Clock;
  /** Default: this machine. */
  readonly loadHost?: () => Promise<BsdHost>;
}): Platform {
  const readDefaultRoute = createReadDefaultRoute({ system: freebsd, clock });
  const findEscape = async () => ({ interface: undefined, hint });
  return {
    name: freebsd.name,
    openProbeSocket: (options) => openProbeSocket(options, { loadHost, readDefaultRoute, findEscape }),
    openPinger: async (options) => openPinger(await loadHost(), options),
    watchNetwork: async (onChange, options) => watchNetwork(onChange, { ...options, host: await loadHost() }),
  };
}
