/**
 * STUN servers as the configuration names them, and the account of why each gave no answer.
 */
import { type Family, formatTransportAddress, type TransportAddress } from "../address.ts";
import { type ErrorCode, StunmeshError } from "../errors.ts";

export interface StunServer {
  /** Host name or IP literal without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Formats a server as `host:port`, an IPv6 literal in brackets. */
export function formatServer({ host, port }: StunServer): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/**
 * How far a server was got at: its name was not resolved; it has no address of the family; it was not its turn; nothing could
 * be sent; it is silent; it answered, which proves that UDP works, and the answer is of no use.
 */
export type TroubleKind = "unresolved" | "absent" | "not asked" | "not sent" | "silent" | "unusable";

export interface Trouble {
  readonly kind: TroubleKind;
  readonly reason: string;
  readonly cause?: unknown;
}

/** Of every server and address before its turn. */
export const notAsked: Trouble = { kind: "not asked", reason: "not asked in time" };

/** What is wrong with one server, or with one of its addresses. */
export interface ServerTrouble {
  readonly kind: TroubleKind;
  /** For a person, with the address when the server is known by a name. */
  readonly text: string;
}

export interface TroubleReport {
  /** Notes what is wrong with `server` now, at its address `at` when it is known by a name; replaces the note before. */
  note(server: StunServer, trouble: Trouble, at?: TransportAddress): void;
  /** Drops all notes about `server`, but keeps its place in the list. */
  clear(server: StunServer): void;
  /** The notes about `server`. */
  list(server: StunServer): readonly ServerTrouble[];
  /** One of the STUN_* codes, by what got farthest. The message lists every server. */
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
      return notes.map(([label, { kind, reason }]) => ({
        kind,
        text: label === formatServer(server) ? reason : `${label}: ${reason}`,
      }));
    },
    toError(family) {
      const all = [...troubles.values()].flatMap((notes) => [...notes]);
      const list = all.map(([label, { reason }]) => `${label}: ${reason}`).join("; ");
      const why = list === "" ? "no STUN server is configured" : list;
      const causes = all.flatMap(([, { cause }]) => (cause === undefined ? [] : [cause]));
      return new StunmeshError(
        codeOf(all.map(([, { kind }]) => kind)),
        `Cannot learn the mapped ${familyName(family)} address: ${why}`,
        causes.length === 0 ? {} : { cause: causes.length === 1 ? causes[0] : new AggregateError(causes) },
      );
    },
  };
}

/** What the worst luck with all servers is called: the one that was got farthest with counts. */
function codeOf(kinds: readonly TroubleKind[]): ErrorCode {
  const has = (kind: TroubleKind) => kinds.includes(kind);
  if (has("unusable")) return "STUN_UNUSABLE";
  if (has("silent") || has("not asked") || kinds.length === 0) return "STUN_NO_ANSWER";
  return has("not sent") || has("absent") ? "STUN_NOT_SENT" : "STUN_NAME_UNRESOLVED";
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
