/** Looks at the WireGuard device, and says once what is wrong with it or became different since the look before. */
import { isAbort, isFatal, StunmeshError } from "./errors.ts";
import { createFailureLog } from "./failures.ts";
import type { Log } from "./log.ts";
import type { PeerState } from "./peer-state.ts";
import { findPeer } from "./settle.ts";
import { describeDeviceChange } from "./wg/changes.ts";
import type { WireGuardControl, WireGuardDevice } from "./wg/types.ts";

export interface Look {
  readonly device: WireGuardDevice;
  /** The device is new, or its port, mark, key or list of peers is another one than at the look before. */
  readonly isNew: boolean;
}

/**
 * Makes a function that looks at the device: undefined while there is none that can be used, which is logged once. Rejects
 * when aborted, and with errors that waiting cannot help (errors.ts: fatal).
 */
export function createDeviceLook(options: {
  readonly interface: string;
  readonly wireguard: WireGuardControl;
  readonly peers: readonly PeerState[];
  readonly log: Log;
}): (signal: AbortSignal) => Promise<Look | undefined> {
  const { wireguard, peers, log } = options;
  const failures = createFailureLog(log);
  let last: WireGuardDevice | undefined;

  function checkPeers(device: WireGuardDevice): void {
    for (const peer of peers) {
      const { name } = peer.config;
      const reading = findPeer(device, peer);
      if (!reading) {
        const error = new StunmeshError("WG_PEER_NOT_FOUND", `Peer "${name}" is not on the device: add it with wg(8)`);
        failures.failed(`peer ${name}`, error, { message: "peer is missing", fields: { peer: name } });
        continue;
      }
      failures.ended(`peer ${name}`, { message: "peer is on the device", fields: { peer: name } });
      if (reading.persistentKeepalive === 0) {
        const hint = "set PersistentKeepalive = 25";
        log.info({ peer: name, hint }, "no keepalive: an idle tunnel loses its NAT mapping");
      }
    }
  }

  return async (signal) => {
    let device: WireGuardDevice;
    try {
      device = await wireguard.readDevice(options.interface, signal);
    } catch (error) {
      if (isAbort(error) || isFatal(error)) throw error;
      failures.failed("device", error, { message: "interface is not ready" });
      last = undefined;
      return undefined;
    }
    failures.ended("device", { message: "interface is ready" });
    const changes = last ? describeDeviceChange(last, device) : [];
    if (changes.length > 0) log.info({ reason: changes.join(", ") }, "device changed");
    const isNew = !last || changes.length > 0;
    if (isNew) checkPeers(device);
    last = device;
    return { device, isNew };
  };
}
