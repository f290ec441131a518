/**
 * Arguments of wg(8). They can be read by every user of the machine, so no secret is ever among them.
 */
import { formatTransportAddress } from "../address.ts";
import { formatPublicKey } from "./key.ts";
import type { PeerEndpoint } from "./types.ts";

/** Peers in one call: about 60 KB of arguments, where the smallest ARG_MAX of the systems we know is 256 KiB. */
const MAX_PEERS_PER_CALL = 500;

/** The arguments that read the device. */
export function encodeShow(name: string): readonly string[] {
  return ["show", name, "dump"];
}

/** The arguments of the calls that move the endpoints, in order. */
export function encodeSetEndpoints(name: string, updates: readonly PeerEndpoint[]): readonly (readonly string[])[] {
  const calls: string[][] = [];
  for (let from = 0; from < updates.length; from += MAX_PEERS_PER_CALL) {
    const peers = updates.slice(from, from + MAX_PEERS_PER_CALL);
    calls.push([
      "set",
      name,
      ...peers.flatMap(({ publicKey, endpoint }) => [
        "peer",
        formatPublicKey(publicKey),
        "endpoint",
        formatTransportAddress(endpoint),
      ]),
    ]);
  }
  return calls;
}
