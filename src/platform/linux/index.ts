/** What Linux offers of the Platform: raw sockets with BPF filters, for which CAP_NET_RAW (and CAP_NET_ADMIN) is needed. */
import type { Clock } from "../../clock.ts";
import type { Platform } from "../types.ts";
import { watchNetwork } from "./network-monitor.ts";
import { openPinger } from "./pinger.ts";
import { openProbeSocket } from "./probe-socket.ts";

/** Makes the Platform of Linux; nothing native is loaded before a socket is opened. */
export function createLinuxPlatform({ clock }: { readonly clock: Clock }): Platform {
  return {
    name: "linux",
    openProbeSocket: (options) => openProbeSocket(options, clock),
    openPinger: (options) => openPinger(options, clock),
    watchNetwork: (onChange, options) => watchNetwork(onChange, { ...options, clock }),
  };
}
