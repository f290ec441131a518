/**
 * STUN servers as the configuration names them, and the account of why each gave no answer.
 */
import { type Family, formatTransportAddress, type TransportAddress } from "../address.ts";
import { StunmeshError } from "../errors.ts";

export interface StunServer {
  /** Host name or IP literal without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Formats a server as `host:port`, an IPv6 literal in brackets. */
export function formatServer({ host, port }: StunServer): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The same items in the same order, but those that `isPreferred` picks come first. */
export function beginWith<T>(items: readonly T[], isPreferred: (item: T) => boolean): readonly T[] {
  return [...items.filter(isPreferred), ...items.filter((item) => !isPreferred(item))];
}

interface Trouble {
  readonly reason: string;
  readonly cause?: unknown;
  /** True when the trouble is the name, not the server. */
  readonly isUnresolved?: boolean;
}

export interface TroubleReport {
  /** Notes what is wrong with `server` now, at its address `at` when it is known by a name; replaces the note before. */
  note(server: StunServer, trouble: Trouble, at?: TransportAddress): void;
  /** Drops all notes about `server`, but keeps its place in the list. */
  clear(server: StunServer): void;
  /** The notes about `server`, as texts. */
  list(server: StunServer): readonly string[];
  /** STUN_NAME_UNRESOLVED when no name could be resolved, else STUN_NO_ANSWER. The message lists every server. */
  toError(family: Family): StunmeshError;
}

/** Makes an empty report. */
export function createTroubleReport(): TroubleReport {
  const troubles = new Map<string, Map<string, Trouble>>();
  return {
    note(server, trouble, at) {
      const name = formatServer(server);
      const notes = troubles.get(name) ?? new Map<string, Trouble>();
      troubles.set(name, notes.set(formatServerAt(server, at), trouble));
    },
    clear(server) {
      troubles.get(formatServer(server))?.clear();
    },
    list(server) {
      const notes = [...(troubles.get(formatServer(server)) ?? [])];
      return notes.map(([label, { reason }]) => (label === formatServer(server) ? reason : `${label}: ${reason}`));
    },
    toError(family) {
      const all = [...troubles.values()].flatMap((notes) => [...notes]);
      const list = all.map(([label, { reason }]) => `${label}: ${reason}`).join("; ");
      const why = list === "" ? "no STUN server is configured" : list;
      const isUnresolved = all.length > 0 && all.every(([, trouble]) => trouble.isUnresolved === true);
      const causes = all.flatMap(([, { cause }]) => (cause === undefined ? [] : [cause]));
      return new StunmeshError(
        isUnresolved ? "STUN_NAME_UNRESOLVED" : "STUN_NO_ANSWER",
        `Cannot learn the mapped ${familyName(family)} address: ${why}`,
        causes.length === 0 ? {} : { cause: causes.length === 1 ? causes[0] : new AggregateError(causes) },
      );
    },
  };
}

/** Formats a server and, when it is known by a name, which of its addresses is meant. */
export function formatServerAt(server: StunServer, at: TransportAddress | undefined): string {
  const name = formatServer(server);
  return at && formatTransportAddress(at) !== name ? `${name} (${at.host})` : name;
}

/** As people write it. */
export function familyName(family: Family): string {
  return family === "ipv4" ? "IPv4" : "IPv6";
}
