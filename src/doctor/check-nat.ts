/** Checks of the NAT in front of WireGuard's port, in words of RFC 4787 (docs/nat.md). Pure. */
import type { StunFacts } from "./facts.ts";
import type { Check, Finding } from "./finding.ts";

export const natChecks: readonly Check<StunFacts>[] = [checkMapping, checkFiltering, checkHairpin];

function checkMapping({ observation, interface: subject }: StunFacts): readonly Finding[] {
  const check = "mapping";
  if (!observation) return [];
  const { nat, mapping, mapped, disputed } = observation;
  if (nat === "none") return [{ level: "ok", check, subject, text: "no NAT: the servers see this host's own address" }];
  if (mapping === "unknown" && disputed.length > 0) {
    const hint = "see mapped-address";
    return [
      { level: "info", check, subject, text: "how the NAT maps is not known: the servers contradict each other", hint },
    ];
  }
  if (mapping === "unknown") {
    const hint = "name two STUN servers with different addresses in stun.addresses, to learn what kind of NAT this is";
    return [{ level: "info", check, subject, text: "there is a NAT, and one server cannot tell how it maps", hint }];
  }
  if (mapping === "endpoint-independent") {
    const text = "endpoint-independent mapping (cone): one public address and port for all destinations";
    return [{ level: "ok", check, subject, text }];
  }
  const text = `${mapping} mapping (symmetric NAT): ${mapped.length} destinations see ${mapped.length} ports, so no published address is true for a peer`;
  const hint = "forward WireGuard's UDP port on the router, or use IPv6; peers that let any port in can be reached";
  return [{ level: "warn", check, subject, text, hint }];
}

function checkFiltering({
  filtering,
  portFiltering,
  observation,
  interface: subject,
  localPort,
}: StunFacts): readonly Finding[] {
  const check = "filtering";
  if (portFiltering === "endpoint-independent") {
    const text =
      filtering === "endpoint-independent"
        ? "endpoint-independent filtering (open): everybody is let in"
        : `WireGuard's port ${localPort} is open to everybody (forwarded, or a public address)`;
    return [{ level: "ok", check, subject, text }];
  }
  switch (filtering) {
    case "endpoint-independent":
      return [{ level: "ok", check, subject, text: "endpoint-independent filtering (full cone): everybody is let in" }];
    case "address-dependent":
      return [
        {
          level: "ok",
          check,
          subject,
          text: "address-dependent filtering (restricted cone): addresses that were sent to are let in",
        },
      ];
    case "address and port-dependent":
      return [
        {
          level: "info",
          check,
          subject,
          text:
            "address and port-dependent filtering (port-restricted cone, or a firewall): only addresses and ports that " +
            "were sent to are let in",
        },
      ];
    case "unknown":
      if (!observation) return [];
      return [
        { level: "info", check, subject, text: "how the NAT filters is not known: no server here can tell (RFC 5780)" },
      ];
  }
}

function checkHairpin({ hairpins, interface: subject }: StunFacts): readonly Finding[] {
  if (hairpins === undefined) return [];
  const check = "hairpin";
  const text = hairpins
    ? "the NAT sends back what comes from inside: hosts behind it can use their public addresses"
    : "the NAT does not send back what comes from inside: two hosts behind it cannot use their public addresses";
  return [{ level: "info", check, subject, text }];
}
