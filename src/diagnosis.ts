/** Why a peer cannot be reached, in one sentence for a person. Pure. */
import { formatTransportAddress, type TransportAddress } from "./address.ts";
import type { Liveness } from "./convergence.ts";

/** What an observation of the NAT said about its mapping, in words of RFC 4787; undefined = not known. */
export type Mapping = "endpoint-independent" | "destination-dependent" | "no NAT";

interface Situation {
  readonly liveness: Liveness;
  /** What is pinged through the tunnel, if anything is. */
  readonly pingTarget: string | undefined;
  readonly hasRecord: boolean;
  readonly endpoint: TransportAddress | undefined;
  readonly mapping: Mapping | undefined;
  /** What the peer says of its own NAT. */
  readonly peerMapping?: Mapping | undefined;
  readonly ownAddressKnown: boolean;
  /** Why the own record is in no store yet. */
  readonly publishError?: string | undefined;
  /** Why the stores could not be asked for the peer's record the last time. */
  readonly fetchError?: string | undefined;
}

const FORWARD = "forward WireGuard's port on either NAT, or use IPv6";

export function explainUnreachable(situation: Situation): string {
  const { liveness, pingTarget, hasRecord, endpoint, ownAddressKnown, publishError, fetchError } = situation;
  if (liveness === "receiving" && pingTarget !== undefined) {
    return `packets of the peer arrive, but the ping target ${pingTarget} does not answer: check that it is up and answers pings`;
  }
  if (!ownAddressKnown) {
    return "no STUN server answers, so the peer cannot know where this host is: check that UDP gets out and the servers in stun.addresses";
  }
  if (publishError !== undefined) {
    return `this host's address is in no store yet, so the peer cannot know where it is: ${publishError}`;
  }
  const pair = explainPair(situation);
  if (pair !== undefined) return pair;
  if (!hasRecord && fetchError !== undefined) return `where the peer is cannot be looked up: ${fetchError}`;
  if (!hasRecord) {
    return "the peer has published nothing for this host: check that stunmesh runs there, with the same store and the right keys";
  }
  if (!endpoint) return "the peer's endpoint is not known yet";
  return (
    `nothing comes back from ${formatTransportAddress(endpoint)}: the peer is off, has another key for this host, ` +
    `${symmetricGuess(situation)}or a firewall drops UDP on the way`
  );
}

/** What the mappings of the two NATs say together; undefined when they are no reason. The table is in docs/nat.md. */
function explainPair({ mapping, peerMapping }: Situation): string | undefined {
  if (mapping === "destination-dependent") {
    const here = "the NAT in front of this host gives every destination another port (symmetric NAT)";
    if (peerMapping === "destination-dependent") {
      return `${here}, and so does the peer's: this pair cannot connect directly; ${FORWARD}`;
    }
    if (peerMapping === "endpoint-independent") {
      return `${here}, so the peer cannot reach the published one, and the peer's NAT lets in nothing from the real one; ${FORWARD}`;
    }
    if (peerMapping === "no NAT") {
      return `${here}, and the peer has no NAT: a firewall there must let in UDP to WireGuard's port from any address and port`;
    }
    return (
      `${here}, so the peer cannot reach the published one: unless the peer's NAT lets any port in, a direct connection ` +
      "is impossible; forward a port on either NAT, or use IPv6"
    );
  }
  if (peerMapping !== "destination-dependent") return undefined;
  const there = "the peer's NAT gives every destination another port (symmetric NAT)";
  if (mapping === "no NAT") {
    return `${there}, and this host has no NAT: a firewall here must let in UDP to WireGuard's port from any address and port`;
  }
  return (
    `${there}, so this host cannot reach the published one` +
    (mapping === "endpoint-independent"
      ? `, and the NAT here lets in nothing from the real one; ${FORWARD}`
      : `: unless the NAT here lets any port in, a direct connection is impossible; ${FORWARD}`)
  );
}

/** A symmetric NAT of the peer is a guess only while nobody has told. */
function symmetricGuess({ peerMapping }: Situation): string {
  return peerMapping === undefined ? "its NAT gives every destination another port (symmetric NAT), " : "";
}
