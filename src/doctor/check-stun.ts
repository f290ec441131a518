/** Checks of what STUN servers answered, or did not. Pure. */
import { formatTransportAddress } from "../address.ts";
import { stunBlocked } from "../causes.ts";
import { addressScope } from "../stun/scope.ts";
import { mappedOf, type StunFacts } from "./facts.ts";
import type { Check, Finding } from "./finding.ts";

export const stunChecks: readonly Check<StunFacts>[] = [checkServers, checkUdp, checkMapped];

/** Why UDP does not get out, in one sentence; undefined when STUN works from WireGuard's port. */
export function explainSilence(facts: StunFacts): Pick<Finding, "text" | "hint"> | undefined {
  const { survey, failure, otherPort, tcpReaches, localPort, heardFrom } = facts;
  if (!survey) return { text: failure?.message ?? "the STUN servers cannot be asked" };
  if (survey.some(({ answers }) => answers.length > 0)) return undefined;
  if (heardFrom !== undefined) {
    return stunBlocked(heardFrom);
  }
  const elsewhere = (otherPort ?? []).filter(({ answers }) => answers.length > 0).map(({ name }) => name);
  if (elsewhere.length > 0) {
    return {
      text: `${elsewhere.join(", ")} answers other ports of this host, but not WireGuard's port ${localPort}: a firewall on this host or the router drops it, or the port is forwarded to another host`,
      hint: `let UDP from and to port ${localPort} through, and look at the router's port forwardings`,
    };
  }
  const troubles = survey.flatMap((server) => server.troubles);
  if (troubles.length > 0 && troubles.every((text) => /name not resolved/.test(text))) {
    return {
      text: "no name of a STUN server can be resolved",
      hint: "repair DNS, or write IP addresses into stun.addresses",
    };
  }
  if (survey.every((server) => server.troubles.some((text) => /has no IPv[46] address/.test(text)))) {
    return { text: troubles[0] ?? "no server has an address of this family", hint: "add a server that has one" };
  }
  if (tcpReaches.length > 0) {
    return {
      text: `UDP is blocked: no STUN server answers from any port of this host, though ${tcpReaches[0]} is reached by TCP`,
      hint: "let UDP out in the firewall of this network; if other UDP does get out, only STUN is blocked: try servers on other ports",
    };
  }
  return {
    text: "no STUN server answers, by UDP or TCP: this host is offline, or the servers are dead",
    hint: "look at the uplink, and try other servers in stun.addresses",
  };
}

function checkServers({ survey, failure, isOnlyFamily, interface: subject }: StunFacts): readonly Finding[] {
  const check = "stun-server";
  const bad = isOnlyFamily ? "fail" : "warn";
  if (!survey) return failure ? [{ level: bad, check, subject, text: failure.message }] : [];
  const someAnswer = survey.some(({ answers }) => answers.length > 0);
  return survey.map(({ name, answers, troubles }): Finding => {
    const [first] = answers;
    if (!first) {
      const text = troubles.join("; ") || "no answer";
      // One of the other family, most likely on purpose.
      const isOther = troubles.every((trouble) => /has no IPv[46] address/.test(trouble));
      return { level: !someAnswer ? bad : isOther ? "info" : "warn", check, subject: name, text };
    }
    const seen = [...new Set(answers.map(({ mapped }) => formatTransportAddress(mapped)))].join(" and ");
    return { level: "ok", check, subject: name, text: `answers in ${Math.round(first.rttMs)} ms and sees ${seen}` };
  });
}

function checkUdp(facts: StunFacts): readonly Finding[] {
  const why = explainSilence(facts);
  if (!why || !facts.survey) return [];
  return [{ level: facts.isOnlyFamily ? "fail" : "warn", check: "udp", subject: facts.interface, ...why }];
}

function checkMapped(facts: StunFacts): readonly Finding[] {
  const mapped = mappedOf(facts);
  if (!mapped) return [];
  const check = "mapped-address";
  const subject = facts.interface;
  const text = `this host is ${formatTransportAddress(mapped)} for the servers`;
  const scope = addressScope(mapped);
  if (scope === "public") {
    const keeps = facts.observation?.preservesPort && facts.observation.nat === "present";
    return [{ level: "ok", check, subject, text: `${text}${keeps ? ", the NAT keeps the port" : ""}` }];
  }
  const what = scope === "cgnat" ? "an address of a carrier's NAT (100.64.0.0/10)" : "a private address";
  const hint = "use STUN servers on the internet; this one is inside the provider's network";
  return [
    { level: "warn", check, subject, text: `${text}, which is ${what}: there is another NAT on the way out`, hint },
  ];
}
