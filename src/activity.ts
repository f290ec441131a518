/**
 * What happened with a peer, counted and dated, for status and metrics: nothing decides by it. Noting is a few assignments;
 * texts are made when somebody asks. Times are of the monotonic clock, in milliseconds.
 */
import type { TransportAddress } from "./address.ts";
import type { PeerCounters, PeerStateName } from "./status.ts";

/** The wall clock is set in steps; that it is slowed down or sped up is less. */
const CLOCK_SET_MS = 60_000;

/** Something that went wrong and has not gone right since. */
export interface Failure {
  readonly atMs: number;
  readonly error: unknown;
}

/** A moment by both clocks. */
export interface Moment {
  readonly atMs: number;
  /** Milliseconds since 1970. */
  readonly wallMs: number;
}

/** A call of a store that went wrong. */
export interface StoreFailure extends Failure {
  readonly store: string;
}

/** A call of a store, as far as peers know of it. */
type StoreCall = "publish" | "fetch";

export interface Activity {
  readonly counters: { -readonly [name in keyof PeerCounters]: number };
  /** What the peer is, and since when; undefined until it was looked at. */
  state?: { readonly name: PeerStateName; readonly sinceMs: number };
  /** The endpoint that was written last, and where it came from. */
  written?: { readonly endpoint: TransportAddress; readonly from: "record" | "remembered" };
  /** When the newest record was accepted. */
  recordAtMs?: number;
  /** Its sequence number, when that was new, and when it was not there yet (wall clock), as far as that is known. */
  sequenceSeen?: Moment & { readonly sequence: number; readonly absentWallMs?: number };
  /** Addresses in our own place in the store that another host with our key has put there. */
  foreign?: string;
  /** The last look at the stores for the peer's record. */
  fetch?: Moment & { readonly result: "changed" | "unchanged" | "absent" | "failed" };
  /** Calls that failed last time, by `publish` or `fetch` and the store's name. */
  readonly failures: Map<`${StoreCall} ${string}`, StoreFailure>;
}

export function createActivity(): Activity {
  const counters = { publishes: 0, publishFailures: 0, fetches: 0, fetchFailures: 0, endpointWrites: 0, downs: 0 };
  return { counters, failures: new Map() };
}

/** Notes the end of a call of one store; `failure` undefined = it went well. */
export function noteStoreCall(
  { counters, failures }: Activity,
  { what, store, failure }: { readonly what: StoreCall; readonly store: string; readonly failure: Failure | undefined },
): void {
  counters[what === "publish" ? "publishes" : "fetches"]++;
  if (failure) {
    counters[what === "publish" ? "publishFailures" : "fetchFailures"]++;
    failures.set(`${what} ${store}`, { ...failure, store });
  } else {
    failures.delete(`${what} ${store}`);
  }
}

/** The failures of one kind of call that last, one for each store that does not work, the newest first. */
export function lastingFailures({ failures }: Activity, what: StoreCall): readonly StoreFailure[] {
  return [...failures]
    .flatMap(([call, failure]) => (call.startsWith(what) ? [failure] : []))
    .sort((a, b) => b.atMs - a.atMs);
}

/** True when the wall clock was not set between two moments, and the machine did not sleep. */
export function isSteady(a: Moment, b: Moment): boolean {
  return Math.abs(a.wallMs - a.atMs - (b.wallMs - b.atMs)) < CLOCK_SET_MS;
}

/**
 * Notes the sequence number of an accepted record. When the look before found an older record in the same store, `isOnlyStore`,
 * this one is younger than that look.
 */
export function noteSequence(
  activity: Activity,
  options: { readonly sequence: number; readonly now: Moment; readonly isOnlyStore: boolean },
): void {
  const { sequence, now, isOnlyStore } = options;
  const { sequenceSeen: before, fetch } = activity;
  if (before?.sequence === sequence) return;
  const wasFound = before && (fetch?.result === "changed" || fetch?.result === "unchanged");
  const isYounger = wasFound && isOnlyStore && isSteady(fetch, now);
  activity.sequenceSeen = { sequence, ...now, ...(isYounger && { absentWallMs: fetch.wallMs }) };
}

/** Notes what the peer is now. Gives what it was before when that is something else, `undefined` when it is the same. */
export function noteState(
  activity: Activity,
  { name, nowMs }: { readonly name: PeerStateName; readonly nowMs: number },
): PeerStateName | undefined {
  const before = activity.state?.name;
  if (before === name) return undefined;
  activity.state = { name, sinceMs: nowMs };
  if (before === "reachable" && (name === "unreachable" || name === "receiving")) activity.counters.downs++;
  return before ?? "waiting";
}
