/** What the NAT in front of an interface does with WireGuard's port: observed after the own address changed, and said once. */
import { type Family, formatTransportAddress, type TransportAddress } from "./address.ts";
import { type Cause, type ContradictedServer, serverContradicted, serversDisagree } from "./causes.ts";
import type { Clock } from "./clock.ts";
import type { Mapping } from "./diagnosis.ts";
import { isAbort } from "./errors.ts";
import { createFailureLog } from "./failures.ts";
import type { Log } from "./log.ts";
import type { OwnAddress } from "./own-address.ts";
import type { NatClass } from "./record.ts";
import type { MappingVerdict } from "./stun/mapping.ts";
import type { AddressScope } from "./stun/scope.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** What an observation says, for people. */
export interface NatReport {
  readonly family: Family;
  /** What the diagnosis needs; undefined = nothing is proved. */
  readonly mapping: Mapping | undefined;
  /** In words of RFC 4787, or "no NAT", or "unknown". */
  readonly behavior: string;
  readonly preservesPort?: boolean;
  readonly scope?: AddressScope;
  /** Servers that were left out of all this, because others contradict them. */
  readonly contradicted?: readonly ContradictedServer[];
  /** Each server and what it says, when nobody knows who is right. */
  readonly disputed?: readonly Omit<ContradictedServer, "why">[];
}

export interface NatWatch {
  /** What was observed last, and when (monotonic clock); undefined before that. */
  current(): { readonly report: NatReport; readonly atMs: number } | undefined;
  /** Observes once more. Never rejects: a failure is logged, and what was known is kept. */
  observe(device: WireGuardDevice): Promise<void>;
}

/** Keeps what observations say; `run` makes one, undefined = it could not be made. */
export function createNatWatch(options: {
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  run(device: WireGuardDevice, signal: AbortSignal): Promise<NatReport | undefined>;
  /** The own addresses in use. One that a server told whom all others contradict is not kept until the next refresh. */
  own?(): Pick<OwnAddress, "current" | "doubt">;
  /** That was the case: the next look for it is due. */
  onDoubt?(): void;
}): NatWatch {
  const { clock, log, signal } = options;
  const failures = createFailureLog(log);
  let known: ReturnType<NatWatch["current"]>;
  return {
    current: () => known,
    async observe(device) {
      try {
        const report = await options.run(device, signal);
        known = report && { report, atMs: clock.monotonic() };
        const own = options.own?.();
        if (!own || !report || !isContradicted(report, own.current()?.[report.family])) return;
        own.doubt();
        options.onDoubt?.();
      } catch (error) {
        if (!isAbort(error)) failures.failed("mapping", error, { message: "NAT could not be observed" });
      }
    },
  };
}

/** An observation in a few words. */
export function describeNat(observation: MappingVerdict, family: Family): NatReport {
  const { nat, mapping, preservesPort, mapped, dissenters, disputed } = observation;
  const scopes = mapped.map(({ scope }) => scope);
  const scope = scopes.find((one) => one !== "public") ?? scopes[0];
  const asText = ({
    serverName,
    mapped: address,
  }: {
    readonly serverName: string;
    readonly mapped: TransportAddress;
  }) => ({
    server: serverName,
    mapped: formatTransportAddress(address),
  });
  return {
    family,
    mapping: summarizeMapping(observation),
    behavior: nat === "none" ? "no NAT" : mapping,
    ...(preservesPort !== undefined && { preservesPort }),
    ...(scope !== undefined && { scope }),
    ...(dissenters.length > 0 && { contradicted: dissenters.map((one) => ({ ...asText(one), why: one.why })) }),
    ...(disputed.length > 0 && { disputed: disputed.map(asText) }),
  };
}

/** What is wrong with the servers themselves. */
export function serverCauses({ contradicted = [], disputed = [] }: NatReport): readonly Cause[] {
  return [...contradicted.map(serverContradicted), ...(disputed.length > 0 ? [serversDisagree(disputed)] : [])];
}

/** True when `own` is what a server says that others contradict. */
export function isContradicted(
  { contradicted = [] }: Pick<NatReport, "contradicted">,
  own: TransportAddress | undefined,
): boolean {
  return own !== undefined && contradicted.some(({ mapped }) => mapped === formatTransportAddress(own));
}

const classes: Readonly<Record<Mapping, NatClass>> = {
  "endpoint-independent": "eim",
  "destination-dependent": "dep",
  "no NAT": "none",
};

/** What is told to a peer about the own NAT. */
export function natClassOf(mapping: Mapping | undefined): NatClass | undefined {
  return mapping && classes[mapping];
}

/** The inverse of natClassOf(), for what a peer has told. */
export function mappingOf(nat: NatClass | undefined): Mapping | undefined {
  return (["endpoint-independent", "destination-dependent", "no NAT"] as const).find((one) => classes[one] === nat);
}

/** Turns an observation into what the diagnosis needs; undefined when it proves nothing. */
export function summarizeMapping({ nat, mapping }: Pick<MappingVerdict, "nat" | "mapping">): Mapping | undefined {
  if (nat === "none") return "no NAT";
  if (mapping === "unknown") return undefined;
  return mapping === "endpoint-independent" ? "endpoint-independent" : "destination-dependent";
}

/** Logs an observation: what it found, and a warning when peers will have a hard time because of it. */
export function reportMapping(
  observation: MappingVerdict,
  { family, log }: { readonly family: Family; readonly log: Log },
): void {
  const { nat, mapping, mapped, dissenters, disputed } = observation;
  for (const { serverName, mapped: endpoint, why } of dissenters) {
    const cause = serverContradicted({ server: serverName, mapped: formatTransportAddress(endpoint), why });
    const fields = { family, server: serverName, endpoint: formatTransportAddress(endpoint) };
    log.warn({ ...fields, reason: cause.text, hint: cause.hint }, "STUN server is contradicted by others");
  }
  if (disputed.length > 0) {
    const { text: reason, hint } = serversDisagree(describeNat(observation, family).disputed ?? []);
    log.warn({ family, reason, hint }, "STUN servers contradict each other");
  }
  const line = { family, mapping: nat === "none" ? "no NAT" : mapping };
  if (summarizeMapping(observation) === "destination-dependent") {
    const hint = "peers whose NAT filters by port cannot connect to this host directly; forward a port, or use IPv6";
    log.warn({ ...line, hint }, "NAT maps every destination to another port (symmetric NAT)");
  } else if (mapped.some(({ scope }) => scope !== "public")) {
    log.info(
      { ...line, hint: "the STUN server is inside the provider's network: use one on the internet" },
      "mapped address is not public",
    );
  } else {
    log.info(line, "NAT observed");
  }
}
