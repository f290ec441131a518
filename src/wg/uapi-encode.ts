/**
 * Requests of the cross-platform userspace protocol (https://www.wireguard.com/xplatform/): lines of `key=value`, ended
 * by an empty line. Keys are lower-case hexadecimal.
 */
import { formatTransportAddress } from "../address.ts";
import type { PeerEndpoint } from "./types.ts";

/** The request for everything about the device. */
export const getRequest = "get=1\n\n";

/** The request that moves endpoints. `update_only`: a peer that is not there is passed over in silence, never created. */
export function encodeSetEndpoints(updates: readonly PeerEndpoint[]): string {
  const peers = updates.map(
    ({ publicKey, endpoint }) =>
      `public_key=${Buffer.from(publicKey).toString("hex")}\nupdate_only=true\nendpoint=${formatTransportAddress(endpoint)}\n`,
  );
  return `set=1\n${peers.join("")}\n`;
}
