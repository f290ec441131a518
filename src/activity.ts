/**
 * What happened with a peer, counted and dated, for status and metrics: nothing decides by it. Noting is a few assignments;
 * texts are made when somebody asks. Times are of the monotonic clock, in milliseconds.
 */
import type { TransportAddress } from "./address.ts";
import type { PeerCounters, PeerStateName } from "./status.ts";

/** Something that went wrong and has not gone right since. */
export interface Failure {
  readonly atMs: number;
  readonly error: unknown;
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
  /** The last look at the stores for the peer's record. */
  fetch?: { readonly atMs: number; readonly result: "changed" | "unchanged" | "absent" | "failed" };
  /** Calls that failed last time, by `publish` or `fetch` and the store's name. */
  readonly failures: Map<`${StoreCall} ${string}`, Failure>;
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
    failures.set(`${what} ${store}`, failure);
  } else {
    failures.delete(`${what} ${store}`);
  }
}

/** The newest failure of one kind of call that lasts; undefined when all stores work. */
export function lastingFailure({ failures }: Activity, what: StoreCall): Failure | undefined {
  let newest: Failure | undefined;
  for (const [call, failure] of failures) {
    if (call.startsWith(what) && (!newest || failure.atMs >= newest.atMs)) newest = failure;
  }
  return newest;
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
