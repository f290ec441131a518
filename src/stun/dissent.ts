/**
 * Which STUN servers others contradict, and what is left to judge a NAT by. Pure.
 *
 * Invariant: nobody is called wrong on the word of one other server alone, and a NAT is not called symmetric on the word of
 * one. A server is known by its name: what its other addresses say is its own word too.
 */
import { formatTransportAddress, sameTransportAddress, type TransportAddress } from "../address.ts";
import { addressScope } from "./scope.ts";

/** At about the same time and from the same local port, `server` saw us as `mapped`. */
export interface MappingSample {
  readonly server: TransportAddress;
  readonly mapped: TransportAddress;
  /** As configured, also for other addresses that it named itself. Default: its IP address. */
  readonly serverName?: string | undefined;
}

/** A server whose answer is left out of the verdict. */
export interface Dissenter {
  readonly serverName: string;
  readonly mapped: TransportAddress;
  /** `not public`: others see a public address. `alone`: all others, at least two, see one and the same. */
  readonly why: "not public" | "alone";
}

export interface Weighed {
  readonly believed: readonly MappingSample[];
  readonly dissenters: readonly Dissenter[];
  /** Those believed see different IP addresses, and it would take no more than one wrong server to explain that. */
  readonly isDisputed: boolean;
}

/** Weighs samples of one family and one local port. */
export function weighSamples(samples: readonly MappingSample[]): Weighed {
  const isPublic = ({ mapped }: MappingSample) => addressScope(mapped) === "public";
  const hasPublic = samples.some(isPublic);
  const inside = hasPublic ? samples.filter((sample) => !isPublic(sample)) : [];
  const comparable = hasPublic ? samples.filter(isPublic) : samples;
  const lone = findLone(comparable);
  const believed = comparable.filter((sample) => nameOf(sample) !== lone);
  return {
    believed,
    dissenters: [
      ...inside.map((sample) => dissenter(sample, "not public")),
      ...comparable.flatMap((sample) => (nameOf(sample) === lone ? [dissenter(sample, "alone")] : [])),
    ],
    isDisputed: isDisputed(believed),
  };
}

/** The one server without which all others agree, provided that those are at least two, in different places. */
function findLone(samples: readonly MappingSample[]): string | undefined {
  if (agree(samples)) return undefined;
  const candidates = namesOf(samples).filter((name) => {
    const others = without(samples, name);
    const places = new Set(others.map(({ server }) => server.host));
    return agree(others) && namesOf(others).length > 1 && places.size > 1;
  });
  return candidates.length === 1 ? candidates[0] : undefined;
}

function isDisputed(samples: readonly MappingSample[]): boolean {
  const hosts = new Set(samples.map(({ mapped }) => mapped.host));
  return hosts.size > 1 && namesOf(samples).some((name) => agree(without(samples, name)));
}

function agree(samples: readonly MappingSample[]): boolean {
  const [first] = samples;
  return samples.every(({ mapped }) => sameTransportAddress(mapped, first?.mapped));
}

function without(samples: readonly MappingSample[], name: string): readonly MappingSample[] {
  return samples.filter((sample) => nameOf(sample) !== name);
}

function namesOf(samples: readonly MappingSample[]): readonly string[] {
  return [...new Set(samples.map(nameOf))];
}

function nameOf({ serverName, server }: MappingSample): string {
  return serverName ?? server.host;
}

function dissenter(sample: MappingSample, why: Dissenter["why"]): Dissenter {
  return { serverName: sample.serverName ?? formatTransportAddress(sample.server), mapped: sample.mapped, why };
}
