/**
 * The addresses this interface is reachable at: discovered by STUN, one discovery at a time for everybody who asks.
 */
import {
  type EndpointRecord,
  type Family,
  formatTransportAddress,
  sameTransportAddress,
  type TransportAddress,
} from "./address.ts";
import type { Clock } from "./clock.ts";
import type { InterfaceConfig } from "./config/types.ts";
import { settledWithin, withDeadline } from "./deadline.ts";
import { errorCode, StunmeshError } from "./errors.ts";
import { createFailureLog } from "./failures.ts";
import type { Log } from "./log.ts";
import { OTHER_FAMILY_WAIT_MS } from "./schedule.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** The whole discovery of one family. STUN has its own, shorter deadlines; this one is for everything around it. */
const DISCOVERY_TIMEOUT_MS = 12_000;

/** One family's answer of a STUN discovery from the port of `device`. */
export interface Discovered {
  /** The mapped address. */
  readonly address: TransportAddress;
  /** Transport address of the server that answered, as text. */
  readonly server: string;
  readonly rttMs: number;
}

export type Discover = (
  device: WireGuardDevice,
  options: { readonly family: Family; readonly signal: AbortSignal },
) => Promise<Discovered>;

/** How the own addresses were found, for people. Times are of the monotonic clock. */
export interface OwnAddressDetails {
  /** The last answers, of the families that `current()` has. */
  readonly found: { readonly [family in Family]?: Discovered & { readonly atMs: number } };
  /** Why the last discovery failed, or one family of it; undefined when it did not. */
  readonly failure?: { readonly atMs: number; readonly error: unknown } | undefined;
  /** Since when no discovery brought an address; undefined when the last one did, or there was none yet. */
  readonly silentSinceMs?: number | undefined;
}

export interface DiscoveryCounters {
  discoveries: number;
  discoveryFailures: number;
}

export interface OwnAddress {
  /** What is known now, without asking. */
  current(): EndpointRecord | undefined;
  details(): OwnAddressDetails;
  /** What is known may be wrong: the next learn() asks, whatever the age. */
  doubt(): void;
  /**
   * Discovers, unless the last answer is younger than `maxAgeMs`. A family that fails is logged and left out of a
   * dual-stack record; throws STUN_NO_ANSWER and the like when there is no answer at all. A discovery under way is
   * shared.
   */
  learn(
    device: WireGuardDevice,
    options: { readonly maxAgeMs: number; readonly signal: AbortSignal },
  ): Promise<EndpointRecord>;
}

export function createOwnAddress(options: {
  readonly config: InterfaceConfig;
  readonly discover: Discover;
  readonly clock: Clock;
  readonly log: Log;
  /** Called when the addresses differ from those known before, also the first time. */
  onChange(device: WireGuardDevice, own: EndpointRecord): void;
  readonly counters?: DiscoveryCounters | undefined;
}): OwnAddress {
  const { config, discover, clock, log, onChange, counters = { discoveries: 0, discoveryFailures: 0 } } = options;
  const failures = createFailureLog(log);
  const families: readonly Family[] = config.protocol === "dualstack" ? ["ipv4", "ipv6"] : [config.protocol];
  let known: { readonly record: EndpointRecord; readonly atMs: number; readonly port: number } | undefined;
  let details: OwnAddressDetails = { found: {} };
  let underWay: { readonly record: Promise<EndpointRecord>; readonly port: number } | undefined;

  async function discoverAll(device: WireGuardDevice, signal: AbortSignal): Promise<EndpointRecord> {
    const results = await askFamilies(device, signal);
    signal.throwIfAborted();
    const before = known?.record;
    const atMs = clock.monotonic();
    const record: { [family in Family]?: TransportAddress } = {};
    const found: { [family in Family]?: Discovered & { readonly atMs: number } } = {};
    let failure: unknown;
    results.forEach((result, index) => {
      const family = families[index] ?? "ipv4";
      if (result.status === "fulfilled") {
        record[family] = result.value.address;
        found[family] = { ...result.value, atMs };
        failures.ended(family, { message: "discovery works again", fields: { family } });
        report(family, result.value, before?.[family]);
      } else {
        failure = mostTelling(failure, result.reason);
        failures.failed(family, result.reason, { message: "discovery failed", fields: { family } });
      }
    });
    const hasAnswer = record.ipv4 !== undefined || record.ipv6 !== undefined;
    counters.discoveries++;
    if (failure !== undefined) counters.discoveryFailures++;
    details = {
      found: hasAnswer ? found : details.found,
      failure: failure === undefined ? undefined : { atMs, error: failure },
      silentSinceMs: hasAnswer ? undefined : (details.silentSinceMs ?? atMs),
    };
    if (!hasAnswer) {
      throw failure ?? new StunmeshError("STUN_NO_ANSWER", "Cannot discover the own address: no family is wanted");
    }
    known = { record, atMs, port: device.listenPort };
    const changed = families.some((family) => !sameTransportAddress(record[family], before?.[family]));
    if (changed) onChange(device, record);
    return record;
  }

  /** Asks for all families at once. One that answers is kept waiting for another that does not for a short time only. */
  async function askFamilies(
    device: WireGuardDevice,
    signal: AbortSignal,
  ): Promise<readonly PromiseSettledResult<Discovered>[]> {
    const round = new AbortController();
    const onAbort = () => round.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const discoveries = families.map((family) =>
      withDeadline(
        { clock, timeoutMs: DISCOVERY_TIMEOUT_MS, signal: round.signal, action: `discover ${family}` },
        (signal) => discover(device, { family, signal }),
      ),
    );
    const all = Promise.allSettled(discoveries);
    await Promise.any(discoveries).catch(() => undefined);
    await settledWithin(all, { clock, ms: OTHER_FAMILY_WAIT_MS, signal: round.signal }).catch(() => undefined);
    round.abort(new StunmeshError("STUN_NO_ANSWER", "Cannot discover: the other family answered, this one did not"));
    signal.removeEventListener("abort", onAbort);
    return all;
  }

  function report(family: Family, { address, server, rttMs }: Discovered, before: TransportAddress | undefined): void {
    const line = { [family]: formatTransportAddress(address), server, ms: round(rttMs) };
    const message = family === "ipv4" ? "discovered IPv4 endpoint" : "discovered IPv6 endpoint";
    if (sameTransportAddress(address, before)) log.debug(line, message);
    else log.info({ ...line, ...(before && { previous: formatTransportAddress(before) }) }, message);
  }

  return {
    current: () => known?.record,
    details: () => details,
    doubt() {
      if (known) known = { ...known, atMs: Number.NEGATIVE_INFINITY };
    },
    async learn(device, { maxAgeMs, signal }) {
      if (known && known.port === device.listenPort && clock.monotonic() - known.atMs < maxAgeMs) return known.record;
      // One from the port before says nothing about this one, but must be over: both would hear each other's answers.
      while (underWay && underWay.port !== device.listenPort) await underWay.record.catch(() => undefined);
      underWay ??= {
        port: device.listenPort,
        record: discoverAll(device, signal).finally(() => {
          underWay = undefined;
        }),
      };
      return underWay.record;
    },
  };
}

/** Of the failures of two families the one that got farther: that a server answered says more than that none did. */
function mostTelling(one: unknown, other: unknown): unknown {
  const rank = (error: unknown) => ["STUN_NO_ANSWER", "STUN_UNUSABLE"].indexOf(errorCode(error) ?? "");
  return one === undefined || rank(other) > rank(one) ? other : one;
}

/** Milliseconds with one decimal, for a log line. */
export function round(ms: number): number {
  return Math.round(ms * 10) / 10;
}
