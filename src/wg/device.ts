/**
 * From what a backend read to a WireGuardDevice: only a device that can be used becomes one, and its private key does
 * not show when it is printed or serialized.
 */
import { StunmeshError } from "../errors.ts";
import type { DecodedDevice } from "./backend.ts";
import { derivePublicKey, isNoKey } from "./key.ts";
import type { WireGuardDevice } from "./types.ts";

/**
 * Makes a device of what was read. `privateKey` is not enumerable: JSON.stringify, util.inspect and `{ ...device }`
 * leave it out. Throws WG_DEVICE_NOT_READY when there is no private key or no listen port yet.
 */
export function createDevice(name: string, decoded: DecodedDevice): WireGuardDevice {
  const { privateKey, listenPort, firewallMark, peers } = decoded;
  if (privateKey === undefined || isNoKey(privateKey)) {
    throw notReady(name, "it has no private key yet, or does not tell it; set one with wg(8) or wg-quick(8)");
  }
  if (listenPort === 0) {
    throw notReady(name, "it has no listen port yet; bring it up or set ListenPort");
  }
  const device = { name, listenPort, firewallMark, publicKey: derivePublicKey(privateKey), peers };
  return Object.defineProperty(device, "privateKey", { get: () => privateKey, enumerable: false }) as WireGuardDevice;
}

function notReady(name: string, why: string): StunmeshError {
  return new StunmeshError("WG_DEVICE_NOT_READY", `Cannot use WireGuard interface "${name}": ${why}`);
}
