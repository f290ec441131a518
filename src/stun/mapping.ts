/**
 * What a NAT does with our port, judged from what several STUN servers saw at the same time. Pure.
 *
 * Invariant: a verdict is what the samples prove and no more; what they leave open is named as open.
 *
 * Words and tests: RFC 4787 section 4.1, RFC 5780 section 4.3.
 */
import { formatTransportAddress, sameTransportAddress, type TransportAddress } from "../address.ts";
import { type Dissenter, type MappingSample, weighSamples } from "./dissent.ts";
import { type AddressScope, addressScope } from "./scope.ts";

/**
 * Servers with two different addresses tell endpoint-independent from the rest. Which of the rest it is needs two ports
 * of one address as well, so without them it is "address- or address and port-dependent".
 */
export type MappingBehavior =
  | "endpoint-independent"
  | "address-dependent"
  | "address and port-dependent"
  | "address- or address and port-dependent"
  | "unknown";

export interface MappingVerdict {
  readonly mapping: MappingBehavior;
  /** "none": every server saw our own address and port. */
  readonly nat: "none" | "present" | "unknown";
  /** Whether every mapped port is the local port; undefined without samples. */
  readonly preservesPort: boolean | undefined;
  /** The different mapped addresses that are believed, in the order seen. */
  readonly mapped: readonly { readonly address: TransportAddress; readonly scope: AddressScope }[];
  /** Servers that were left out, because others contradict them. */
  readonly dissenters: readonly Dissenter[];
  /** Each server, and what it saw, when they contradict each other and nobody knows who is right; else empty. */
  readonly disputed: readonly { readonly serverName: string; readonly mapped: TransportAddress }[];
}

interface MappingFacts {
  readonly localPort: number;
  /** IP literals of this host, canonical. */
  readonly localAddresses: readonly string[];
}

/** Judges samples of one family and one local port. */
export function judgeMapping(samples: readonly MappingSample[], facts: MappingFacts): MappingVerdict {
  const { localPort, localAddresses } = facts;
  const { believed, dissenters, isDisputed } = weighSamples(samples);
  const isOwn = ({ mapped }: MappingSample) => mapped.port === localPort && localAddresses.includes(mapped.host);
  const different = new Map(believed.map(({ mapped }) => [formatTransportAddress(mapped), mapped]));
  const disputed = believed.map(({ serverName, server, mapped }) => ({
    serverName: serverName ?? formatTransportAddress(server),
    mapped,
  }));
  return {
    mapping: judgeBehavior(believed, isDisputed),
    nat: believed.length === 0 || isDisputed ? "unknown" : believed.every(isOwn) ? "none" : "present",
    preservesPort: believed.length === 0 ? undefined : believed.every(({ mapped }) => mapped.port === localPort),
    mapped: [...different.values()].map((address) => ({ address, scope: addressScope(address) })),
    dissenters,
    disputed: isDisputed ? disputed : [],
  };
}

function judgeBehavior(samples: readonly MappingSample[], isDisputed: boolean): MappingBehavior {
  const pairs = samples.flatMap((a, index) => samples.slice(index + 1).map((b) => comparePair(a, b)));
  const has = (servers: Pair["servers"], isSame: boolean) =>
    // Another IP address may be a wrong server's; another port of the same one is the NAT's.
    pairs.some((pair) => pair.servers === servers && pair.isSame === isSame && !(isDisputed && pair.isOtherHost));
  // The same server saw two mappings: the NAT changed its mind while we looked, so nothing can be compared.
  if (has("same", false)) return "unknown";
  if (has("other port", false)) return "address and port-dependent";
  if (has("other address", false)) {
    return has("other port", true) ? "address-dependent" : "address- or address and port-dependent";
  }
  return has("other address", true) && !isDisputed ? "endpoint-independent" : "unknown";
}

interface Pair {
  /** How the two servers differ; another address says nothing about ports. */
  readonly servers: "same" | "other port" | "other address";
  readonly isSame: boolean;
  /** They see different IP addresses. */
  readonly isOtherHost: boolean;
}

function comparePair(a: MappingSample, b: MappingSample): Pair {
  const servers = sameTransportAddress(a.server, b.server)
    ? "same"
    : a.server.host === b.server.host
      ? "other port"
      : "other address";
  return { servers, isSame: sameTransportAddress(a.mapped, b.mapped), isOtherHost: a.mapped.host !== b.mapped.host };
}
