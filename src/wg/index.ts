/**
 * WireGuard: read a device, move endpoints; nothing else, ever. Creating devices and peers, keys, addresses and routes
 * are out of scope.
 *
 * This is the table of the ways to reach a device, in order of preference. Each call asks them in that order, because
 * an interface may come back as another kind than it was.
 */
import { sameTransportAddress } from "../address.ts";
import type { Clock } from "../clock.ts";
import { errorCode, StunmeshError } from "../errors.ts";
import type { WireGuardBackend } from "./backend.ts";
import { formatPublicKey } from "./key.ts";
import { assertInterfaceName } from "./name.ts";
import { createToolBackend } from "./tool.ts";
import type { PeerEndpoint, WireGuardControl, WireGuardDevice, WireGuardPeer } from "./types.ts";
import { createUapiBackend } from "./uapi.ts";

interface WireGuardControlOptions {
  readonly clock: Clock;
  /** Directories where userspace daemons have their sockets; default the two that are in use. */
  readonly runtimeDirs?: readonly string[];
  /** Name or path of wg(8); default "wg". */
  readonly wgCommand?: string;
}

interface FoundDevice {
  readonly device: WireGuardDevice;
  readonly backend: WireGuardBackend;
}

/** Often the same directory; on FreeBSD and macOS only the first exists. */
export const defaultRuntimeDirs = ["/var/run/wireguard", "/run/wireguard"];

/**
 * Opens access to the WireGuard devices of this machine. Holds nothing between calls, and calls may run at the same
 * time. The device that is read has the name that the operating system knows, which on macOS may be another one
 * (utun4) than wg-quick(8) was given (wg0); its `privateKey` is not enumerable.
 */
export function openWireGuardControl(options: WireGuardControlOptions): WireGuardControl {
  const { clock, runtimeDirs = defaultRuntimeDirs, wgCommand = "wg" } = options;
  const backends: readonly WireGuardBackend[] = [
    createUapiBackend({ clock, runtimeDirs }),
    createToolBackend({ clock, command: wgCommand, runtimeDirs }),
  ];

  async function findDevice(name: string, signal: AbortSignal): Promise<FoundDevice> {
    assertInterfaceName(name);
    let refusal: unknown;
    for (const backend of backends) {
      try {
        const device = await backend.readDevice(name, signal);
        if (device) return { device, backend };
      } catch (error) {
        // A socket that we may not reach says nothing about a device of the kernel: ask on, and complain at the end.
        const isRefusal = errorCode(error) === "PERMISSION_DENIED";
        const isOnlyMissing = errorCode(error) === "WG_TOOL_MISSING" && refusal !== undefined;
        if (!isRefusal && !isOnlyMissing) throw error;
        refusal ??= error;
      }
    }
    throw refusal ?? notFound(name);
  }

  return {
    async readDevice(name, signal) {
      return (await findDevice(name, signal)).device;
    },
    async setPeerEndpoints(name, updates, signal) {
      const { device, backend } = await findDevice(name, signal);
      const peers = new Map(device.peers.map((peer) => [formatPublicKey(peer.publicKey), peer]));
      assertPeersExist(device.name, { peers, updates });
      const wanted = updates.filter((update) => isUnchanged(peers.get(formatPublicKey(update.publicKey)), update));
      if (wanted.length > 0) await backend.writeEndpoints(name, wanted, signal);
      return wanted;
    },
  };
}

/** WireGuard itself would create such a peer (wg(8)), or pass it over in silence (update_only). */
function assertPeersExist(
  name: string,
  { peers, updates }: { readonly peers: ReadonlyMap<string, WireGuardPeer>; readonly updates: readonly PeerEndpoint[] },
): void {
  const missing = updates.map(({ publicKey }) => formatPublicKey(publicKey)).filter((key) => !peers.has(key));
  if (missing.length === 0) return;
  const others = missing.length > 1 ? ` and ${missing.length - 1} more` : "";
  throw new StunmeshError(
    "WG_PEER_NOT_FOUND",
    `Cannot set endpoints on WireGuard interface "${name}": it has no peer "${missing[0]}"${others}`,
  );
}

function isUnchanged(now: WireGuardPeer | undefined, { unlessChangedSince: before }: PeerEndpoint): boolean {
  if (!before || !now) return true;
  return sameTransportAddress(now.endpoint, before.endpoint) && now.latestHandshakeMs === before.latestHandshakeMs;
}

function notFound(name: string): StunmeshError {
  return new StunmeshError(
    "WG_DEVICE_NOT_FOUND",
    `Cannot find WireGuard interface "${name}": there is no WireGuard interface of this name; start it (for example "wg-quick up ${name}"), or correct the name`,
  );
}
