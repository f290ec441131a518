/** Reads records from the stores, and sends a throw-away value there and back. No record is written, ever. */
import { hostname } from "node:os";
import type { Clock } from "../clock.ts";
import type { PeerConfig, PluginConfig } from "../config/types.ts";
import { withDeadline } from "../deadline.ts";
import { describeError, errorCode, isAbort } from "../errors.ts";
import type { NamedStore } from "../exchange.ts";
import { addressesOf } from "../host-addresses.ts";
import { checkFresh, openOwnRecord, openRecord, type PeerRecord, storageKey } from "../record.ts";
import type { SequenceMarks } from "../sequence.ts";
import type { WireGuardDevice } from "../wg/types.ts";
import type { Failure, FoundValue, PeerFacts, StoreFacts } from "./facts.ts";
import { createThrowAway, readBack } from "./round-trip.ts";

const READ_TIMEOUT_MS = 4_000;
const WRITE_TIMEOUT_MS = 4_000;
const READ_BACK_TIMEOUT_MS = 4_000;
const DATE_TIMEOUT_MS = 3_000;

interface Outside {
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export interface ReadRecordsOptions extends Outside {
  readonly config: PeerConfig;
  readonly device: WireGuardDevice;
  readonly stores: ReadonlyMap<string, NamedStore>;
  /** From where on a daemon here accepts the peer's records. */
  readonly marks: SequenceMarks;
}

/** What the peer published for us and what is in our own place. Rejects only when aborted. */
export async function readRecords(
  options: ReadRecordsOptions,
): Promise<Pick<PeerFacts, "found" | "own" | "unreadable">> {
  const { config, device, stores, marks, clock } = options;
  const { privateKey } = device;
  const theirs = { senderKey: config.publicKey, receiverKey: device.publicKey };
  const ours = { senderKey: device.publicKey, receiverKey: config.publicKey };
  const found: FoundValue[] = [];
  const own: FoundValue[] = [];
  const unreadable = new Map<string, Failure>();
  await Promise.all(
    config.plugins.map(async (plugin) => {
      const named = stores.get(plugin);
      if (!named) return;
      try {
        const [values, ownValues] = await inTime(options, READ_TIMEOUT_MS, `read from store "${plugin}"`, (signal) =>
          Promise.all([named.store.get(storageKey(theirs), signal), named.store.get(storageKey(ours), signal)]),
        );
        for (const value of values) {
          found.push(
            open(plugin, () => {
              const record = openRecord(value, { ...theirs, privateKey });
              checkFresh(record, { marks, nowMs: clock.now(), tunnel: addressesOf(device.name) });
              return record;
            }),
          );
        }
        for (const value of ownValues) own.push(open(plugin, () => openOwnRecord(value, { ...ours, privateKey })));
      } catch (error) {
        unreadable.set(plugin, toFailure(error));
      }
    }),
  );
  return { found, own, unreadable };
}

function open(plugin: string, read: () => PeerRecord): FoundValue {
  try {
    return { plugin, record: read() };
  } catch (error) {
    return { plugin, failure: toFailure(error) };
  }
}

/** Writes a throw-away value and reads it back. Rejects only when aborted. */
export async function tryStore({ name, store }: NamedStore, outside: Outside): Promise<StoreFacts> {
  const { clock } = outside;
  const throwAway = createThrowAway(hostname());
  const { keys, value } = throwAway;
  let step: "write" | "read back" = "write";
  try {
    const startMs = clock.monotonic();
    await inTime(outside, WRITE_TIMEOUT_MS, `write to store "${name}"`, (signal) => store.set(keys[0], value, signal));
    const writtenMs = clock.monotonic();
    step = "read back";
    const limit = READ_BACK_TIMEOUT_MS + READ_TIMEOUT_MS;
    const isBack = await inTime(outside, limit, `read from store "${name}"`, (signal) =>
      readBack(store, { ...throwAway, timeoutMs: READ_BACK_TIMEOUT_MS, clock, signal }),
    );
    const times = { writeMs: writtenMs - startMs, readBackMs: clock.monotonic() - writtenMs };
    if (isBack) return { name, ...times };
    const message = `what was written does not come back within ${READ_BACK_TIMEOUT_MS / 1000} s`;
    return { name, failed: { step, message, code: "STORE_FAILED" } };
  } catch (error) {
    return { name, failed: { step, ...toFailure(error) } };
  }
}

/** How far the clock of a store's web server is ahead of ours, by the Date of any answer of it; undefined when unknown. */
export async function readClockSkew({ options }: PluginConfig, outside: Outside): Promise<number | undefined> {
  const { url, endpoint } = (options ?? {}) as { readonly url?: unknown; readonly endpoint?: unknown };
  const address = [url, endpoint].find((one) => typeof one === "string" && /^https?:/.test(one));
  if (typeof address !== "string") return undefined;
  try {
    const { headers } = await inTime(outside, DATE_TIMEOUT_MS, "ask for the date", (signal) =>
      fetch(new URL("/", address), { method: "HEAD", redirect: "manual", signal }),
    );
    const serverMs = Date.parse(headers.get("date") ?? "");
    return Number.isNaN(serverMs) ? undefined : serverMs - outside.clock.now();
  } catch (error) {
    if (isAbort(error) && outside.signal.aborted) throw error;
    return undefined;
  }
}

function inTime<T>(
  { clock, signal }: Outside,
  timeoutMs: number,
  action: string,
  call: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return withDeadline({ clock, timeoutMs, signal, action }, call);
}

function toFailure(error: unknown): Failure {
  if (isAbort(error)) throw error;
  return { message: describeError(error), code: errorCode(error) };
}
