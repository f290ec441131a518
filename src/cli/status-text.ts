/** The status as a person likes to read it, at most 80 columns wide. Pure; nothing in it can move a cursor. */
import { allPeers, isNamed } from "../control/peer-names.ts";
import { printable } from "../printable.ts";
import type { DaemonStatus, InterfaceStatus, PeerStateName, PeerStatus } from "../status.ts";

const WIDTH = 80;
const MAX_NAME = 18;

export interface FormatOptions {
  /** Wall clock. */
  readonly nowMs: number;
  /** Interfaces, peers or interface/peer; none = all. */
  readonly names: readonly string[];
  readonly color: boolean;
}

const colors: Readonly<Record<PeerStateName, number>> = {
  reachable: 32,
  receiving: 33,
  unreachable: 31,
  missing: 31,
  waiting: 33,
};

/** The peers `names` mean, of their interfaces; without names everything. */
export function selectStatus(status: DaemonStatus, names: readonly string[]): readonly InterfaceStatus[] {
  if (names.length === 0) return status.interfaces;
  const chosen = new Set(
    allPeers(status)
      .filter((one) => names.some((name) => isNamed(one, name)))
      .map(({ peer }) => peer),
  );
  return status.interfaces
    .map((one) => ({ ...one, peers: one.peers.filter((peer) => chosen.has(peer)) }))
    .filter(({ name, peers }) => peers.length > 0 || names.includes(name));
}

/** The whole output of `status`, ending in a line break. */
export function formatStatus(status: DaemonStatus, options: FormatOptions): string {
  const { config } = status;
  const blocks = selectStatus(status, options.names).map((one) => formatInterface(one, options));
  if (config.error !== undefined) {
    blocks.unshift(
      wrap(`configuration not reloaded, the one before is in use: ${config.error}`, { indent: 2, hang: 0 }),
    );
  }
  return `${blocks.join("\n\n")}\n`;
}

function formatInterface(one: InterfaceStatus, options: FormatOptions): string {
  const { nowMs } = options;
  const nameColumns = Math.min(MAX_NAME, Math.max(8, ...one.peers.map(({ name }) => printable(name).length)));
  const lines = [formatHead(one)];
  for (const family of ["ipv4", "ipv6"] as const) {
    const own = one.own[family];
    if (!own) continue;
    const asked = `from ${own.server}, ${own.rttMs} ms, ${age(own.discoveredAt, nowMs)} ago`;
    lines.push(wrap(`${family === "ipv4" ? "IPv4" : "IPv6"} ${own.address}  ${asked}`));
  }
  if (one.discoveryError) {
    const { at, message } = one.discoveryError;
    lines.push(wrap(`discovery failed ${age(at, nowMs)} ago: ${message}`));
  }
  for (const note of one.notes ?? []) lines.push(wrap(`note: ${note}`));
  const header = row({ name: "PEER", state: "STATE", handshake: "HANDSHAKE", ping: "PING", next: "NEXT" }, nameColumns);
  return [...lines, "", header, ...one.peers.map((peer) => formatPeer(peer, { ...options, nameColumns }))].join("\n");
}

function formatHead({ name, state, reason, device, mapping }: InterfaceStatus): string {
  if (state === "waiting" || !device)
    return wrap(`${name}  not ready: ${reason ?? "it is not there"}`, { indent: 4, hang: 0 });
  const alias = device.name === name ? "" : ` (${device.name})`;
  const scope = mapping?.scope === undefined || mapping.scope === "public" ? "" : ` (${mapping.scope} address)`;
  const nat = mapping ? `  NAT ${mapping.behavior.replace(/^no NAT$/, "none")}${scope}` : "";
  const mark = device.firewallMark === 0 ? "" : `  mark 0x${device.firewallMark.toString(16)}`;
  return wrap(`${name}${alias}  port ${device.listenPort}${mark}${nat}`, { indent: 4, hang: 0 });
}

function formatPeer(peer: PeerStatus, options: FormatOptions & { readonly nameColumns: number }): string {
  const { nowMs, color, nameColumns } = options;
  const { state, latestHandshakeAt, next, busy, why, notes = [] } = peer;
  const first = row(
    {
      name: shorten(printable(peer.name)),
      state: `${state} ${age(peer.since, nowMs)}`,
      handshake: latestHandshakeAt === undefined ? "never" : `${age(latestHandshakeAt, nowMs)} ago`,
      ping: formatPing(peer),
      next: busy ? "now" : next ? `in ${age(new Date(nowMs).toISOString(), Date.parse(next.at))}` : "-",
    },
    nameColumns,
  );
  // After the name, which may be the same word.
  const start = 2 + nameColumns + 2;
  const rest = first.slice(start + state.length);
  const painted = color ? `${first.slice(0, start)}\x1b[${colors[state]}m${state}\x1b[39m${rest}` : first;
  return [
    painted,
    wrap(formatExchange(peer, nowMs), { indent: 6, hang: 4 }),
    ...(why === undefined ? [] : [wrap(`why: ${why}`, { indent: 6, hang: 4 })]),
    ...notes.map((note) => wrap(`note: ${note}`, { indent: 6, hang: 4 })),
  ].join("\n");
}

function row(
  cells: Readonly<Record<"name" | "state" | "handshake" | "ping" | "next", string>>,
  nameColumns: number,
): string {
  const { name, state, handshake, ping, next } = cells;
  return `  ${name.padEnd(nameColumns)}  ${state.padEnd(18)}  ${handshake.padEnd(10)}  ${ping.padEnd(14)}  ${next}`.trimEnd();
}

function formatPing({ ping }: PeerStatus): string {
  if (!ping) return "-";
  if (ping.verdict === "unknown" || ping.rttMs === undefined) return ping.verdict === "down" ? "no answer" : "-";
  const loss = `${Math.round(ping.loss * 100)} %`;
  return ping.verdict === "down" ? `lost, ${loss}` : `${ping.rttMs.toFixed(ping.rttMs < 100 ? 1 : 0)} ms, ${loss}`;
}

function formatExchange(peer: PeerStatus, nowMs: number): string {
  const { endpoint, endpointFrom, published, publishError, fetch, fetchError } = peer;
  const newest = published
    .map(({ at }) => at)
    .toSorted()
    .at(-1);
  const where = endpoint === undefined ? "no endpoint" : `at ${endpoint} (${endpointFrom ?? "wireguard"})`;
  const wrote = newest === undefined ? "not published" : `published ${age(newest, nowMs)} ago`;
  const failing = publishError ? ` (failing: ${publishError.message})` : "";
  const failure = fetchError
    ? ` (failing: ${fetchError.message})`
    : fetch?.result === "absent"
      ? " (nothing there)"
      : "";
  const read = fetch === undefined ? "not fetched" : `fetched ${age(fetch.at, nowMs)} ago${failure}`;
  return `${where}, ${wrote}${failing}, ${read}`;
}

/** How long ago: `now`, `12 s`, `3 min`, `5 h`, `12 d`. */
export function age(iso: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(iso)) / 1000));
  if (seconds < 100) return `${seconds} s`;
  if (seconds < 100 * 60) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** Breaks a text at its spaces. `hang`: indent of the first line, `indent`: of the others. */
export function wrap(
  text: string,
  { indent = 6, hang = 2 }: { readonly indent?: number; readonly hang?: number } = {},
): string {
  const lines: string[] = [];
  let line = " ".repeat(hang);
  let isEmpty = true;
  for (const word of printable(text).split(/(?<=\S) (?=\S)/)) {
    if (!isEmpty && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = " ".repeat(indent);
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line].join("\n");
}

function shorten(text: string): string {
  return text.length <= MAX_NAME ? text : `${text.slice(0, MAX_NAME - 2)}..`;
}
