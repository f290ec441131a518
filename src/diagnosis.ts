/**
 * Why a peer cannot be reached, in one sentence for a person. Pure.
 *
 * A cause further up hides those below it, so the first one counts; the doctor (doctor/verdict.ts) keeps the same order.
 */
import { formatTransportAddress, type TransportAddress } from "./address.ts";
import {
  foreignRecord,
  inOneSentence,
  type PortChange,
  type StunTrouble,
  storeFails,
  stunBlocked,
  stunFails,
} from "./causes.ts";
import type { Liveness } from "./convergence.ts";

/** What an observation of the NAT said about its mapping, in words of RFC 4787; undefined = not known. */
export type Mapping = "endpoint-independent" | "destination-dependent" | "no NAT";

/** A store, and why it or what is in it cannot be used. */
export interface StoreTrouble {
  readonly store: string;
  readonly message: string;
}

export interface Situation {
  readonly liveness: Liveness;
  /** What is pinged through the tunnel, if anything is. */
  readonly pingTarget: string | undefined;
  readonly hasRecord: boolean;
  /** The stores have been asked for the peer's record. */
  readonly wasFetched: boolean;
  /** There was one since the device is up, so the keys are right. */
  readonly hadHandshake: boolean;
  readonly endpoint: TransportAddress | undefined;
  readonly mapping: Mapping | undefined;
  /** What the peer says of its own NAT. */
  readonly peerMapping?: Mapping | undefined;
  readonly ownAddressKnown: boolean;
  /** Why no STUN server told the own address when they were asked last; undefined when one did, or none was asked yet. */
  readonly stunTrouble?: StunTrouble | undefined;
  /** A peer that is heard all the same. */
  readonly heardFrom?: string | undefined;
  /** Addresses in our own place in the store that somebody else has put there. */
  readonly foreign?: string | undefined;
  /** Why the own record is in no store; `isFirst`: it never was. */
  readonly publishTrouble?: (StoreTrouble & { readonly isFirst: boolean }) | undefined;
  /** Why no store could be asked for the peer's record the last time. */
  readonly fetchTrouble?: StoreTrouble | undefined;
  /** Why what a store has of the peer is no record to use; `isUnreadable`: it was sealed with other keys. */
  readonly recordTrouble?: (StoreTrouble & { readonly isUnreadable: boolean }) | undefined;
  /** The listen port changed, and the peer was not heard since. */
  readonly portChange?: PortChange | undefined;
}

const FORWARD = "forward WireGuard's port on either NAT, or use IPv6";
const COMPARE_KEYS = 'compare with "wg show" on both';

export function explainUnreachable(situation: Situation): string {
  const { liveness, pingTarget, foreign } = situation;
  if (liveness === "receiving" && pingTarget !== undefined) {
    return `packets of the peer arrive, but the ping target ${pingTarget} does not answer: check that it is up and answers pings`;
  }
  if (foreign !== undefined) return inOneSentence(foreignRecord(foreign));
  return (
    explainNoAddress(situation) ??
    explainStores(situation) ??
    explainPair(situation) ??
    explainNoRecord(situation) ??
    explainSilence(situation)
  );
}

/** Without an own address the peer cannot know where this host is. With an old one it may, while other UDP works. */
function explainNoAddress({ ownAddressKnown, stunTrouble, heardFrom }: Situation): string | undefined {
  if (ownAddressKnown && (!stunTrouble || heardFrom !== undefined)) return undefined;
  if (!stunTrouble) return "this host's own address is not known yet: the STUN servers are being asked";
  const known = stunFails(stunTrouble) ?? (heardFrom === undefined ? undefined : stunBlocked(heardFrom));
  if (known) return inOneSentence(known);
  return (
    "no STUN server answers, so the peer cannot know where this host is, and no peer is heard: UDP is blocked, this host " +
    "is offline, or the servers are dead; check that UDP gets out and the servers in stun.addresses"
  );
}

function explainStores({ fetchTrouble, publishTrouble, recordTrouble }: Situation): string | undefined {
  if (fetchTrouble) return inOneSentence(storeFails(fetchTrouble));
  if (publishTrouble) {
    const { isFirst, store, message } = publishTrouble;
    const what = isFirst
      ? "this host's address is in no store yet"
      : "this host's address cannot be kept up to date in any store";
    return `${what}, so the peer cannot know where it is: the store ${store} does not take it: ${message}`;
  }
  if (!recordTrouble) return undefined;
  const { isUnreadable, store, message } = recordTrouble;
  const keys = isUnreadable ? `; one of the two hosts may have got a new key: ${COMPARE_KEYS}` : "";
  return `what the store ${store} has of the peer cannot be used: ${message}${keys}`;
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

function explainNoRecord({ hasRecord, wasFetched, hadHandshake }: Situation): string | undefined {
  if (hasRecord) return undefined;
  if (!wasFetched) return "where the peer is is not known yet: the store is being asked";
  const nothing = "the peer has published nothing for this host: stunmesh does not run there, or with another store";
  if (hadHandshake) return nothing;
  return `${nothing}, or one side has a wrong public key of the other: ${COMPARE_KEYS}`;
}

function explainSilence({ endpoint, portChange, peerMapping }: Situation): string {
  if (!endpoint) return "the peer's endpoint is not known yet";
  const nothing = `nothing comes back from ${formatTransportAddress(endpoint)}`;
  if (portChange) {
    const { from, to, at } = portChange;
    return `${nothing} since WireGuard's listen port changed from ${from} to ${to} at ${at}: the peer sends to the old address until it finds the new one in the store`;
  }
  // A symmetric NAT of the peer is a guess only while nobody has told.
  const guess = peerMapping === undefined ? "its NAT gives every destination another port (symmetric NAT), " : "";
  return `${nothing}: the peer is off, has another key for this host, ${guess}or a firewall drops UDP on the way`;
}
