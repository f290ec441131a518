/** `stunmesh-ts status` and `stunmesh-ts why`: what the daemon knows, and why a peer is not reachable. */
import { systemClock } from "../clock.ts";
import { allPeers, isNamed, listPeers } from "../control/peer-names.ts";
import { StunmeshError } from "../errors.ts";
import { printableJson } from "../printable.ts";
import type { DaemonStatus, PeerStatus } from "../status.ts";
import { type ClientCommandOptions, openClient } from "./daemon-client.ts";
import { age, formatStatus, selectStatus, wrap } from "./status-text.ts";

const WATCH_MS = 1_000;
/** Not every peer is reachable. */
const EX_NOT_REACHABLE = 1;
const CLEAR_SCREEN = "\x1b[H\x1b[2J";

export interface StatusOptions extends ClientCommandOptions {
  /** Interfaces, peers or interface/peer; none = all. */
  readonly names: readonly string[];
  readonly json?: boolean | undefined;
  readonly watch?: boolean | undefined;
}

/** Resolves with 0 when all named peers are reachable, else 1. With `watch` it goes on until it is interrupted. */
export async function status(options: StatusOptions, signal: AbortSignal): Promise<number> {
  const client = await openClient(options, signal);
  const isTerminal = process.stdout.isTTY === true;
  for (;;) {
    const body = await client.ask("GET", "/v1/status");
    const known = parseStatus(body);
    assertNames(known, options.names);
    if (options.watch && isTerminal) process.stdout.write(CLEAR_SCREEN);
    if (options.json) {
      console.log(printableJson({ ...known, interfaces: selectStatus(known, options.names) }));
    } else {
      const color = isTerminal && (process.env.NO_COLOR ?? "") === "";
      process.stdout.write(formatStatus(known, { nowMs: systemClock.now(), names: options.names, color }));
    }
    if (!options.watch) return exitCodeOf(known, options.names);
    await systemClock.sleep(WATCH_MS, signal);
    if (!isTerminal && !options.json) console.log("");
  }
}

export interface WhyOptions extends ClientCommandOptions {
  /** A peer, or interface/peer. */
  readonly peer: string;
}

/** Says why one peer is not reachable, and what is known about it. Resolves with 0 when it is reachable, else 1. */
export async function why({ peer: name, ...options }: WhyOptions, signal: AbortSignal): Promise<number> {
  const client = await openClient(options, signal);
  const body = await client.ask("GET", `/v1/peers/${name.split("/").map(encodeURIComponent).join("/")}`);
  const { interface: device, ...peer }: PeerStatus & { readonly interface: string } = JSON.parse(body);
  console.log(explain(peer, { device, nowMs: systemClock.now() }));
  return peer.state === "reachable" ? 0 : EX_NOT_REACHABLE;
}

/** Some lines about one peer. */
export function explain(
  peer: PeerStatus,
  { device, nowMs }: { readonly device: string; readonly nowMs: number },
): string {
  const ago = (iso: string) => `${age(iso, nowMs)} ago`;
  const { record, fetch, next, notes = [] } = peer;
  const addresses = [record?.ipv4, record?.ipv6].filter((address) => address !== undefined).join(" and ");
  const facts = [
    peer.endpoint === undefined ? "no endpoint" : `endpoint ${peer.endpoint} (${peer.endpointFrom ?? "wireguard"})`,
    `latest handshake ${peer.latestHandshakeAt === undefined ? "never" : ago(peer.latestHandshakeAt)}`,
    ...(peer.ping
      ? [`ping of ${peer.ping.target} ${peer.ping.verdict}, ${Math.round(100 * peer.ping.loss)} % lost`]
      : []),
    record
      ? `the peer published ${addresses}${record.nat === undefined ? "" : `, NAT: ${record.nat}`}`
      : "no record of the peer",
    ...peer.published.map(
      ({ plugin, at, addresses }) => `published to ${plugin} ${ago(at)}: ${addresses.join(" and ")}`,
    ),
    ...(peer.publishError ? [`publishing fails: ${peer.publishError.message}`] : []),
    ...(fetch ? [`fetched ${ago(fetch.at)}: ${fetch.result}`] : []),
    ...(peer.fetchError ? [`fetching fails: ${peer.fetchError.message}`] : []),
    ...notes,
    ...(next ? [`next turn in ${age(new Date(nowMs).toISOString(), Date.parse(next.at))}`] : []),
  ];
  const head = `${device}/${peer.name}: ${peer.state} for ${age(peer.since, nowMs)}`;
  const reason = peer.why === undefined ? [] : [wrap(peer.why, { hang: 2, indent: 2 })];
  return [
    wrap(head, { hang: 0, indent: 2 }),
    ...reason,
    ...facts.map((fact) => wrap(`- ${fact}`, { hang: 2, indent: 4 })),
  ].join("\n");
}

function parseStatus(body: string): DaemonStatus {
  return JSON.parse(body);
}

function assertNames(known: DaemonStatus, names: readonly string[]): void {
  const all = allPeers(known);
  const isKnown = (name: string) =>
    all.some((one) => isNamed(one, name)) || known.interfaces.some((one) => one.name === name);
  const unknown = names.find((name) => !isKnown(name));
  if (unknown === undefined) return;
  throw new StunmeshError(
    "USAGE",
    `Cannot show "${unknown}": the daemon has no interface or peer of that name, there are ${listPeers(all)}`,
  );
}

function exitCodeOf(known: DaemonStatus, names: readonly string[]): number {
  const peers = selectStatus(known, names).flatMap((one) => one.peers);
  return peers.every(({ state }) => state === "reachable") ? 0 : EX_NOT_REACHABLE;
}
