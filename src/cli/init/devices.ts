/** What `stunmesh-ts init` learns from WireGuard: the interfaces of this machine, and their peers. Changes nothing. */
import { systemClock } from "../../clock.ts";
import { errorCode, StunmeshError } from "../../errors.ts";
import { openWireGuardControl } from "../../wg/index.ts";
import { listDevices } from "../../wg/list.ts";

export interface FoundDevice {
  readonly name: string;
  /** Base64; undefined when the interface could not be read. */
  readonly publicKey?: string;
  readonly peers: readonly FoundPeer[];
}

export interface FoundPeer {
  /** Base64. */
  readonly publicKey: string;
  readonly allowedIps: readonly string[];
}

export interface FoundDevices {
  readonly devices: readonly FoundDevice[];
  /** Why some could not be read. */
  readonly problems: readonly string[];
}

/** Said after an error: all that would be read can be given. */
const INSTEAD = "or give --interface NAME and --peer NAME=KEY for what it would be asked";

/**
 * Reads the interfaces that are named, else all there are. One that cannot be read is passed over when there are others;
 * one that is named is there without peers when `canBeUnread`. Throws what listDevices and readDevice throw.
 */
export async function findDevices(
  { names, canBeUnread }: { readonly names: readonly string[] | undefined; readonly canBeUnread: boolean },
  signal: AbortSignal,
): Promise<FoundDevices> {
  const clock = systemClock;
  const wireguard = openWireGuardControl({ clock });
  const wanted = names ?? (await listDevices({ clock }, signal).catch(explain));
  if (wanted.length === 0) {
    const why = `there is no WireGuard interface: start one (for example "wg-quick up wg0"), ${INSTEAD}`;
    throw new StunmeshError("WG_DEVICE_NOT_FOUND", `Cannot find out what to configure: ${why}`);
  }
  const devices: FoundDevice[] = [];
  const failures: unknown[] = [];
  for (const name of wanted) {
    try {
      const { publicKey, peers } = await wireguard.readDevice(name, signal);
      devices.push({
        name,
        publicKey: toBase64(publicKey),
        peers: peers.map((peer) => ({ publicKey: toBase64(peer.publicKey), allowedIps: peer.allowedIps })),
      });
    } catch (error) {
      signal.throwIfAborted();
      failures.push(error);
      if (names && canBeUnread) devices.push({ name, peers: [] });
      else if (names) explain(error);
    }
  }
  if (devices.length === 0) explain(failures[0]);
  return { devices, problems: failures.map((error) => (error instanceof Error ? error.message : String(error))) };
}

function explain(error: unknown): never {
  const code = errorCode(error);
  if (code === undefined || !(error instanceof Error)) throw error;
  throw new StunmeshError(code, `${error.message}; ${INSTEAD}`, { cause: error });
}

function toBase64(key: Uint8Array): string {
  return Buffer.from(key).toString("base64");
}
