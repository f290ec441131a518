/**
 * What a NAT does with our port, judged from what several STUN servers saw at the same time. Pure.
 *
 * Invariant: a verdict is what the samples prove and no more; what they leave open is named as open.
 *
 * Words and tests: RFC 4787 section 4.1, RFC 5780 section 4.3.
 */
import { formatTransportAddress, sameTransportAddress, type TransportAddress } from "../address.ts";
import { type AddressScope, addressScope } from "./scope.ts";

/** At about the same time and from the same local port, `server` saw us as `mapped`. */
export interface MappingSample {
  readonly server: TransportAddress;
  readonly mapped: TransportAddress;
}

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
  /** The different mapped addresses, in the order seen. */
  readonly mapped: readonly { readonly address: TransportAddress; readonly scope: AddressScope }[];
}

interface MappingFacts {
  readonly localPort: number;
  /** IP literals of this host, canonical. */
  readonly localAddresses: readonly string[];
}

/** Judges samples of one family and one local port. */
export function judgeMapping(samples: readonly MappingSample[], facts: MappingFacts): MappingVerdict {
  const { localPort, localAddresses } = facts;
  const isOwn = ({ mapped }: MappingSample) => mapped.port === localPort && localAddresses.includes(mapped.host);
  const different = new Map(samples.map(({ mapped }) => [formatTransportAddress(mapped), mapped]));
  return {
    mapping: judgeBehavior(samples),
    nat: samples.length === 0 ? "unknown" : samples.every(isOwn) ? "none" : "present",
    preservesPort: samples.length === 0 ? undefined : samples.every(({ mapped }) => mapped.port === localPort),
    mapped: [...different.values()].map((address) => ({ address, scope: addressScope(address) })),
  };
}

function judgeBehavior(samples: readonly MappingSample[]): MappingBehavior {
  const pairs = samples.flatMap((a, index) => samples.slice(index + 1).map((b) => comparePair(a, b)));
  const has = (servers: Pair["servers"], isSame: boolean) =>
    pairs.some((pair) => pair.servers === servers && pair.isSame === isSame);
  // The same server saw two mappings: the NAT changed its mind while we looked, so nothing can be compared.
  if (has("same", false)) return "unknown";
  if (has("other port", false)) return "address and port-dependent";
  if (has("other address", false)) {
    return has("other port", true) ? "address-dependent" : "address- or address and port-dependent";
  }
  return has("other address", true) ? "endpoint-independent" : "unknown";
}

interface Pair {
  /** How the two servers differ; another address says nothing about ports. */
  readonly servers: "same" | "other port" | "other address";
  readonly isSame: boolean;
}

function comparePair(a: MappingSample, b: MappingSample): Pair {
  const servers = sameTransportAddress(a.server, b.server)
    ? "same"
    : a.server.host === b.server.host
      ? "other port"
      : "other address";
  return { servers, isSame: sameTransportAddress(a.mapped, b.mapped) };
}
