/** What the NAT in front of an interface does with WireGuard's port: observed after the own address changed, and said once. */
import type { Family } from "./address.ts";
import type { Mapping } from "./diagnosis.ts";
import type { Log } from "./log.ts";
import type { MappingObservation } from "./stun/observe.ts";

/** Turns an observation into what the diagnosis needs; undefined when it proves nothing. */
export function summarizeMapping({ nat, mapping }: Pick<MappingObservation, "nat" | "mapping">): Mapping | undefined {
  if (nat === "none") return "no NAT";
  if (mapping === "unknown") return undefined;
  return mapping === "endpoint-independent" ? "endpoint-independent" : "destination-dependent";
}

/** Logs an observation: what it found, and a warning when peers will have a hard time because of it. */
export function reportMapping(
  observation: MappingObservation,
  { family, log }: { readonly family: Family; readonly log: Log },
): void {
  const { nat, mapping, mapped } = observation;
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
