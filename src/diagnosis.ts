/** Why a peer cannot be reached, in one sentence for a person. Pure. */
import { formatTransportAddress, type TransportAddress } from "./address.ts";
import type { Liveness } from "./convergence.ts";

/** What an observation of the NAT said about its mapping, in words of RFC 4787; undefined = not known. */
export type Mapping = "endpoint-independent" | "destination-dependent" | "no NAT";

export function explainUnreachable(situation: {
  readonly liveness: Liveness;
  /** What is pinged through the tunnel, if anything is. */
  readonly pingTarget: string | undefined;
  readonly hasRecord: boolean;
  readonly endpoint: TransportAddress | undefined;
  readonly mapping: Mapping | undefined;
  readonly ownAddressKnown: boolean;
}): string {
  const { liveness, pingTarget, hasRecord, endpoint, mapping, ownAddressKnown } = situation;
  if (liveness === "receiving" && pingTarget !== undefined) {
    return `packets of the peer arrive, but the ping target ${pingTarget} does not answer: check that it is up and answers pings`;
  }
  if (!ownAddressKnown) {
    return "no STUN server answers, so the peer cannot know where this host is: check that UDP gets out and the servers in stun.addresses";
  }
  if (mapping === "destination-dependent") {
    return (
      "the NAT in front of this host gives every destination another port (symmetric NAT), so the peer cannot reach " +
      "the published one: unless the peer's NAT lets any port in, a direct connection is impossible; forward a port on " +
      "either NAT, or use IPv6"
    );
  }
  if (!hasRecord) {
    return "the peer has published nothing for this host: check that stunmesh runs there, with the same store and the right keys";
  }
  if (!endpoint) return "the peer's endpoint is not known yet";
  return (
    `nothing comes back from ${formatTransportAddress(endpoint)}: the peer is off, has another key for this host, its ` +
    "NAT gives every destination another port (symmetric NAT), or a firewall drops UDP on the way"
  );
}
