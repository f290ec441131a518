/**
 * What became different between two looks at a device, in words. Pure. Endpoints, handshakes and counters are not
 * changes: they move all the time. The private key shows only as the public key that follows from it.
 */
import { formatPublicKey } from "./key.ts";
import type { WireGuardDevice } from "./types.ts";

/** The changes from `before` to `after`, one text each: "listen port 51820 -> 51821"; empty when nothing changed. */
export function describeDeviceChange(before: WireGuardDevice, after: WireGuardDevice): readonly string[] {
  const peersBefore = new Set(peerKeys(before));
  const peersAfter = new Set(peerKeys(after));
  return [
    ...describeValue("listen port", [String(before.listenPort), String(after.listenPort)]),
    ...describeValue("firewall mark", [formatMark(before.firewallMark), formatMark(after.firewallMark)]),
    ...describeValue("public key", [formatPublicKey(before.publicKey), formatPublicKey(after.publicKey)]),
    ...[...peersAfter].filter((key) => !peersBefore.has(key)).map((key) => `peer ${key} added`),
    ...[...peersBefore].filter((key) => !peersAfter.has(key)).map((key) => `peer ${key} removed`),
  ];
}

function describeValue(what: string, [before, after]: readonly [string, string]): readonly string[] {
  return before === after ? [] : [`${what} ${before} -> ${after}`];
}

function peerKeys({ peers }: WireGuardDevice): readonly string[] {
  return peers.map(({ publicKey }) => formatPublicKey(publicKey));
}

/** As wg(8) shows it. */
function formatMark(mark: number): string {
  return mark === 0 ? "off" : `0x${mark.toString(16)}`;
}
