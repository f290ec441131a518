/**
 * The examination: what is gathered when, and which checks judge it. Everything that does not depend on something else runs
 * at the same time; sections come in a fixed order, each as soon as it is complete.
 *
 * Invariant: nothing of the system is changed. To a store one throw-away value is written, never a record; to WireGuard
 * nothing. Every wait has a deadline: the whole is done in 15 s.
 */
import type { InterfaceConfig } from "../config/types.ts";
import type { DaemonStatus } from "../status.ts";
import { deviceChecks } from "./check-device.ts";
import { hostChecks } from "./check-host.ts";
import { natChecks } from "./check-nat.ts";
import { peerChecks } from "./check-peer.ts";
import { storeChecks } from "./check-store.ts";
import { stunChecks } from "./check-stun.ts";
import type { OwnNat, StoreFacts, StunFacts } from "./facts.ts";
import { type Finding, runChecks } from "./finding.ts";
import { readHost } from "./read-host.ts";
import { readClockSkew, tryStore } from "./read-stores.ts";
import { judgePeer } from "./verdict.ts";
import { type VisitOptions, visit } from "./visit.ts";

export interface ExamineOptions extends VisitOptions {
  /** What a running daemon says; undefined when none answers. Never rejects. */
  readonly daemon?: Promise<DaemonStatus | undefined> | undefined;
  /** Of the configuration, those that are examined. */
  readonly interfaces: readonly InterfaceConfig[];
  /** About the configuration. */
  readonly warnings: readonly string[];
}

export interface Section {
  readonly title: string;
  readonly findings: readonly Finding[];
}

/** Examines everything. Rejects only when aborted. */
export async function* examine(options: ExamineOptions): AsyncGenerator<Section> {
  const { interfaces, parts, signal } = options;
  const host = readHost(options);
  const visits = interfaces.map((config) => visit(config, options));
  const unreadable = visits.map(async ({ records }) => (await records).map((one) => one.unreadable));
  const used = new Set(interfaces.flatMap(({ peers }) => peers.flatMap(({ plugins }) => plugins)));
  const stores = Promise.all(
    [...used].map(async (name): Promise<readonly StoreFacts[]> => {
      const named = parts.stores().get(name);
      const instance = options.config.plugins.find((one) => one.name === name);
      if (!named || !instance) return [];
      const skew = readClockSkew(instance, options);
      // After the records: a service that asks to be left alone after a write would not be read either.
      const failure = (await Promise.all(unreadable))
        .flat()
        .map((one) => one.get(name))
        .find(Boolean);
      const tried: StoreFacts = failure
        ? { name, failed: { step: "read", ...failure } }
        : await tryStore(named, options);
      return [{ ...tried, clockSkewMs: await skew }];
    }),
  ).then((found) => found.flat());
  // Whoever waits for them below sees it; until then a rejection must not end the process.
  for (const one of [
    host,
    stores,
    ...unreadable,
    ...visits.flatMap(({ device, stun, records, peers }) => [device, stun, records, peers]),
  ])
    one.catch(() => undefined);

  const all: Finding[] = [];
  const section = (title: string, findings: readonly Finding[]): Section => {
    all.push(...findings);
    return { title, findings };
  };
  yield section("This host", runChecks(hostChecks, await host));
  for (const { config, device } of visits) {
    yield section(`Interface ${config.name}`, runChecks(deviceChecks, await device));
  }
  for (const { config, stun } of visits) {
    for (const facts of await stun) {
      const title = `STUN and NAT, ${config.name}, ${facts.family === "ipv4" ? "IPv4" : "IPv6"}`;
      yield section(title, runChecks([...stunChecks, ...natChecks], facts));
    }
  }
  yield section(
    "Stores",
    (await stores).flatMap((facts) => runChecks(storeChecks, facts)),
  );
  for (const { config, peers, stun } of visits) {
    const nat = natOf(await stun);
    const findings = (await peers).flatMap((peer) => runChecks(peerChecks, { peer, nat }));
    if (findings.length > 0) yield section(`Peers of ${config.name}`, findings);
  }
  const verdicts: Finding[] = [];
  for (const { config, device, peers, stun } of visits) {
    const nat = natOf(await stun);
    for (const { name, plugins } of config.peers) {
      verdicts.push(
        judgePeer({
          device: await device,
          peer: (await peers).find((one) => one.config.name === name),
          peerName: name,
          nat,
          stores: (await stores).filter((store) => plugins.includes(store.name)),
          daemonSays: stateOf(await options.daemon, { interface: config.name, peer: name }),
          findings: all,
        }),
      );
    }
  }
  signal.throwIfAborted();
  yield section("Verdict", verdicts);
}

function stateOf(status: DaemonStatus | undefined, wanted: { readonly interface: string; readonly peer: string }) {
  const served = status?.interfaces.find(({ name }) => name === wanted.interface);
  return served?.peers.find(({ name }) => name === wanted.peer)?.state;
}

function natOf(facts: readonly StunFacts[]): OwnNat {
  return Object.fromEntries(facts.map((one) => [one.family, one]));
}
