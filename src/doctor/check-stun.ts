/** Checks of what STUN servers answered, or did not. Pure. */
import { formatTransportAddress } from "../address.ts";
import { type StunTrouble, serverContradicted, serversDisagree, stunBlocked, stunFails } from "../causes.ts";
import { OTHER_FAMILY_WAIT_MS } from "../schedule.ts";
import { addressScope } from "../stun/scope.ts";
import type { TroubleKind } from "../stun/servers.ts";
import type { SurveyedServer } from "../stun/survey.ts";
import { mappedOf, type StunFacts } from "./facts.ts";
import type { Check, Finding } from "./finding.ts";

/** A daemon lost a dead server's second. */
const SLOW_MS = 900;

export const stunChecks: readonly Check<StunFacts>[] = [checkServers, checkDiscovery, checkUdp, checkMapped];

/** Why the own address is not learned from WireGuard's port, in one sentence; undefined when it is. */
export function explainSilence(facts: StunFacts): Pick<Finding, "text" | "hint"> | undefined {
  const { survey, failure, otherPort, tcpReaches, localPort, heardFrom } = facts;
  if (!survey) return { text: failure?.message ?? "the STUN servers cannot be asked" };
  if (survey.some(({ answers }) => answers.length > 0)) return undefined;
  const known = stunFails(troubleOf(survey));
  if (known) return known;
  if (heardFrom !== undefined) return stunBlocked(heardFrom);
  const elsewhere = (otherPort ?? []).filter(hasAnswered).map(({ name }) => name);
  if (elsewhere.length > 0) {
    return {
      text: `${elsewhere.join(", ")} answers other ports of this host, but not WireGuard's port ${localPort}: a firewall on this host or the router drops it, or the port is forwarded to another host`,
      hint: `let UDP from and to port ${localPort} through, and look at the router's port forwardings`,
    };
  }
  if (tcpReaches.length > 0) {
    // Another port was not tried when its packets would go through the tunnel.
    const where = otherPort ? "any port of this host" : `WireGuard's port ${localPort}`;
    return {
      text: `UDP is blocked: no STUN server answers from ${where}, though ${tcpReaches[0]} is reached by TCP`,
      hint: "let UDP out in the firewall of this network; if other UDP does get out, only STUN is blocked: try servers on other ports",
    };
  }
  return {
    text: "no STUN server answers, by UDP or TCP: this host is offline, or the servers are dead",
    hint: "look at the uplink, and try other servers in stun.addresses",
  };
}

/** The server got through to us, whatever it said. */
function hasAnswered({ answers, troubles }: SurveyedServer): boolean {
  return answers.length > 0 || troubles.some(({ kind }) => kind === "unusable");
}

/** The same of all servers together: what was got farthest with counts. */
function troubleOf(survey: readonly SurveyedServer[]): StunTrouble {
  const all = survey.flatMap(({ name, troubles }) =>
    troubles.map(({ kind, text }) => ({ kind, text: text.startsWith(name) ? text : `${name}: ${text}` })),
  );
  const has = (kind: TroubleKind) => all.some((one) => one.kind === kind);
  const list = (wanted: readonly TroubleKind[]) =>
    all.flatMap(({ kind, text }) => (wanted.includes(kind) ? [text] : [])).join("; ");
  if (has("unusable")) return { kind: "unusable", message: list(["unusable"]) };
  if (has("silent") || has("not asked")) return { kind: "silent", message: list(["silent", "not asked"]) };
  if (has("not sent") || has("absent"))
    return { kind: "not sent", message: list(["not sent", "absent", "unresolved"]) };
  return { kind: "unresolved", message: list(["unresolved"]) };
}

function checkServers({
  survey,
  failure,
  isOnlyFamily,
  observation,
  interface: subject,
}: StunFacts): readonly Finding[] {
  const check = "stun-server";
  const bad = isOnlyFamily ? "fail" : "warn";
  if (!survey) return failure ? [{ level: bad, check, subject, text: failure.message }] : [];
  const someAnswer = survey.some(({ answers }) => answers.length > 0);
  return survey.map(({ name, answers, troubles }): Finding => {
    const [first] = answers;
    if (!first) {
      const text = troubles.map((trouble) => trouble.text).join("; ") || "no answer";
      // One of the other family, most likely on purpose.
      const isOther = troubles.every(({ kind }) => kind === "absent");
      return { level: !someAnswer ? bad : isOther ? "info" : "warn", check, subject: name, text };
    }
    const dissenter = observation?.dissenters.find(({ serverName }) => serverName === name);
    if (dissenter) {
      const { mapped, why } = dissenter;
      const cause = serverContradicted({ server: name, mapped: formatTransportAddress(mapped), why });
      return { level: "warn", check, subject: name, ...cause };
    }
    const seen = [...new Set(answers.map(({ mapped }) => formatTransportAddress(mapped)))].join(" and ");
    return { level: "ok", check, subject: name, text: `answers in ${Math.round(first.rttMs)} ms and sees ${seen}` };
  });
}

/** Not only whether a server lives, but whether a daemon gets to it. */
function checkDiscovery({ discovery, survey, isOnlyFamily, interface: subject }: StunFacts): readonly Finding[] {
  if (!discovery || !survey) return [];
  const check = "discovery";
  const { serverName, failure, tookMs, asked } = discovery;
  const seconds = `${(tookMs / 1_000).toFixed(1)} s`;
  const list = (names: readonly string[]) => (names.length === 0 ? "none" : names.join(", "));
  const others = survey.map(({ name }) => name).filter((name) => !asked.includes(name));
  if (serverName === undefined) {
    const text = `a daemon that starts now learns no address, though a server answers: ${failure?.message ?? "none in time"}`;
    return [{ level: "warn", check, subject, text, hint: "put the server that answers first in stun.addresses" }];
  }
  const before = asked.filter((name) => name !== serverName);
  const text =
    `a daemon that starts now takes the answer of ${serverName}, after ${seconds}; asked besides: ${list(before)}` +
    `; its turn does not come: ${list(others)}`;
  if (!isOnlyFamily && tookMs > OTHER_FAMILY_WAIT_MS) {
    const late = `${text}; when the other family answers at once, this one has ${OTHER_FAMILY_WAIT_MS / 1_000} s, and is found after some refreshes only`;
    return [{ level: "warn", check, subject, text: late, hint: `put ${serverName} first in stun.addresses` }];
  }
  const isSlow = before.length > 0 && tookMs > SLOW_MS;
  return [
    {
      level: isSlow ? "info" : "ok",
      ...{ check, subject, text },
      ...(isSlow && { hint: `put ${serverName} first in stun.addresses` }),
    },
  ];
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
  const disputed = facts.observation?.disputed ?? [];
  if (disputed.length > 0) {
    const seen = disputed.map((one) => ({ server: one.serverName, mapped: formatTransportAddress(one.mapped) }));
    return [{ level: "warn", check, subject, ...serversDisagree(seen) }];
  }
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
