/** Which peers of a status a name means: `wg0` all of an interface, `site2` a peer of any, `wg0/site2` exactly one. Pure. */
import type { DaemonStatus, PeerStatus } from "../status.ts";

export interface NamedPeer {
  readonly interface: string;
  readonly peer: PeerStatus;
}

/** Every peer. */
export function allPeers({ interfaces }: Pick<DaemonStatus, "interfaces">): readonly NamedPeer[] {
  return interfaces.flatMap(({ name, peers }) => peers.map((peer) => ({ interface: name, peer })));
}

/** True when `name` means this peer. */
export function isNamed(one: NamedPeer, name: string): boolean {
  return namesOf(one).includes(name);
}

/** Every name that means this peer. */
export function namesOf({ interface: device, peer }: NamedPeer): readonly string[] {
  return [device, peer.name, `${device}/${peer.name}`];
}

/** What there is, for a message: `wg0/site2, wg0/site3`. */
export function listPeers(peers: readonly NamedPeer[]): string {
  return peers.map(({ interface: device, peer }) => `${device}/${peer.name}`).join(", ") || "none";
}
