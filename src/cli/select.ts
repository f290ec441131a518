/** Which peers a command is about: all of them, or those named on the command line. */
import type { InterfaceConfig } from "../config/types.ts";
import { StunmeshError } from "../errors.ts";

/**
 * Keeps the peers that one of `names` means: `wg0` all of an interface, `site2` a peer of any interface, `wg0/site2`
 * exactly one. No names mean all. Throws USAGE for a name that means nothing, listing what there is.
 */
export function selectPeers(
  interfaces: readonly InterfaceConfig[],
  names: readonly string[],
): readonly InterfaceConfig[] {
  const matches = (name: string, { name: device }: InterfaceConfig, peer: string) =>
    name === device || name === peer || name === `${device}/${peer}`;
  for (const name of names) {
    if (interfaces.some((one) => one.peers.some((peer) => matches(name, one, peer.name)))) continue;
    const known = interfaces.flatMap((one) => one.peers.map((peer) => `${one.name}/${peer.name}`)).join(", ");
    throw new StunmeshError(
      "USAGE",
      `Cannot select "${name}": no interface or peer with peers has that name, there are ${known}`,
    );
  }
  if (names.length === 0) return interfaces.filter(({ peers }) => peers.length > 0);
  return interfaces
    .map((one) => ({
      ...one,
      peers: one.peers.filter(({ name }) => names.some((wanted) => matches(wanted, one, name))),
    }))
    .filter(({ peers }) => peers.length > 0);
}
