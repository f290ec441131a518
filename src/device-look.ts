/** Looks at the WireGuard device, and says once what is wrong with it or became different since the look before. */
import type { Clock } from "./clock.ts";
import { describeError, isAbort, isFatal, StunmeshError } from "./errors.ts";
import { createFailureLog } from "./failures.ts";
import type { Log } from "./log.ts";
import { findPeer, type PeerState } from "./peer-state.ts";
import { describeDeviceChange } from "./wg/changes.ts";
import type { WireGuardControl, WireGuardDevice } from "./wg/types.ts";

/** How often the device is looked at when nothing else happens: WireGuard tells nobody about its changes. */
const DEVICE_CHECK_MS = 5_000;
/** The same while there is no device. */
export const DEVICE_WAIT_MS = 1_000;
/** The same while a handshake is hoped for. */
const HANDSHAKE_CHECK_MS = 500;
const HANDSHAKE_HOPE_MS = 15_000;

/** How long a change of the listen port is worth telling. */
const PORT_CHANGE_TOLD_MS = 600_000;

export interface Look {
  readonly device: WireGuardDevice;
  /** The device is new, or its port, mark, key or list of peers is another one than at the look before. */
  readonly isNew: boolean;
}

export interface DeviceLook {
  /**
   * Looks at the device: undefined while there is none that can be used, which is logged once. Rejects when aborted, and
   * with errors that waiting cannot help (errors.ts: fatal).
   */
  look(signal: AbortSignal): Promise<Look | undefined>;
  /** Why the last look saw no device, for a person; undefined when it saw one. */
  problem(): string | undefined;
  /** The last change of the listen port, for a while; `atMs` is of the monotonic clock. */
  portChange(): { readonly from: number; readonly to: number; readonly atMs: number } | undefined;
}

export function createDeviceLook(options: {
  readonly interface: string;
  readonly wireguard: WireGuardControl;
  readonly peers: readonly PeerState[];
  readonly clock: Clock;
  readonly log: Log;
}): DeviceLook {
  const { wireguard, peers, clock, log } = options;
  const failures = createFailureLog(log);
  let last: WireGuardDevice | undefined;
  /** Also of a device that is gone: it mostly comes back. */
  let lastPort: number | undefined;
  let portChange: ReturnType<DeviceLook["portChange"]>;
  let problem: string | undefined = "it was not looked at yet";

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

  async function look(signal: AbortSignal): Promise<Look | undefined> {
    let device: WireGuardDevice;
    try {
      device = await wireguard.readDevice(options.interface, signal);
    } catch (error) {
      if (isAbort(error) || isFatal(error)) throw error;
      failures.failed("device", error, { message: "interface is not ready" });
      last = undefined;
      problem = describeError(error);
      return undefined;
    }
    failures.ended("device", { message: "interface is ready" });
    const changes = last ? describeDeviceChange(last, device) : [];
    if (changes.length > 0) log.info({ reason: changes.join(", ") }, "device changed");
    const isNew = !last || changes.length > 0;
    if (isNew) checkPeers(device);
    const { listenPort } = device;
    if (lastPort !== undefined && lastPort !== listenPort) {
      portChange = { from: lastPort, to: listenPort, atMs: clock.monotonic() };
    }
    lastPort = listenPort;
    last = device;
    problem = undefined;
    return { device, isNew };
  }

  return {
    look,
    problem: () => problem,
    portChange() {
      return portChange && clock.monotonic() - portChange.atMs < PORT_CHANGE_TOLD_MS ? portChange : undefined;
    },
  };
}

/** How soon the device is to be looked at again: soon while a handshake is hoped for, or a tunnel doubted. */
export function lookAgainMs(peers: readonly PeerState[], nowMs: number): number {
  const hoping = peers.some(
    ({ liveness, trial, opening }) =>
      liveness !== "alive" &&
      nowMs - Math.max(trial?.sinceMs ?? -Infinity, opening?.sinceMs ?? -Infinity) < HANDSHAKE_HOPE_MS,
  );
  const doubting = peers.some(({ doubtedAtMs = -Infinity }) => nowMs - doubtedAtMs < HANDSHAKE_HOPE_MS);
  return hoping || doubting ? HANDSHAKE_CHECK_MS : DEVICE_CHECK_MS;
}
