/**
 * Whether two NATs let two hosts connect: the table of docs/nat.md as a function. Pure.
 *
 * Invariant: what is not known of a side is taken as what lets the pair connect, so "impossible" is a proof.
 */
import type { Mapping } from "../diagnosis.ts";
import type { FilteringBehavior } from "../stun/filtering.ts";

export interface NatSide {
  readonly mapping: Mapping | undefined;
  /** Of the NAT, or "endpoint-independent" when WireGuard's port is forwarded. */
  readonly filtering: FilteringBehavior;
}

/** Why the pair cannot connect directly; `isProved` false = it depends on what is not known. Undefined when it can. */
export function explainPair(
  own: NatSide,
  peer: NatSide,
): { readonly text: string; readonly isProved: boolean } | undefined {
  const isSymmetric = ({ mapping }: NatSide) => mapping === "destination-dependent";
  const isOpen = ({ mapping, filtering }: NatSide) => filtering === "endpoint-independent" && mapping !== undefined;
  if (!isSymmetric(own) && !isSymmetric(peer)) return undefined;
  if (isOpen(own) || isOpen(peer)) return undefined;
  if (isSymmetric(own) && isSymmetric(peer)) {
    const text = "the NATs of both sides map per destination (symmetric): this pair cannot connect directly";
    return { text, isProved: true };
  }
  const other = isSymmetric(own) ? peer : own;
  const names = isSymmetric(own) ? ["this side's NAT", "the peer's"] : ["the peer's NAT", "this side's"];
  if (other.filtering === "address-dependent") return undefined;
  if (other.filtering === "address and port-dependent") {
    const text = `${names[0]} maps per destination (symmetric) and ${names[1]} filters by port: this pair cannot connect directly`;
    return { text, isProved: true };
  }
  if (other.mapping === "no NAT") {
    const text = `${names[0]} maps per destination (symmetric), so this pair can connect only if no firewall at the other side filters by port`;
    return { text, isProved: false };
  }
  const text = `${names[0]} maps per destination (symmetric), so this pair can connect only if ${names[1]} does not filter by port`;
  return { text, isProved: false };
}

/** What helps when a pair cannot connect. */
export const pairHint = "forward WireGuard's UDP port on one side, or use IPv6";
