/**
 * Leaves a store alone for a while after it could not be reached, so that a thousand peers do not each find out.
 *
 * Only STORE_UNAVAILABLE and TIMEOUT count: any other outcome shows that the backend answers. After the pause one call
 * tries; the calls that come meanwhile wait for its outcome. Reading and writing fail apart, as rights and paths do. A service
 * that said when to come back (Retry-After) meant both, and is not asked before.
 */
import type { Clock } from "../../clock.ts";
import { describeError, errorCode, StunmeshError } from "../../errors.ts";
import { type StoreOperation, storeAction } from "../action.ts";
import { readRetryAfter } from "../retry-after.ts";
import type { Store } from "../types.ts";
import { type StoreCall, wrapStore } from "./wrap.ts";

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 10_000;
/** A service cannot keep us away for longer than this: it may be wrong, and a person may have set it right meanwhile. */
const LONGEST_WISH_MS = 5 * 60_000;
/** Part of a pause that chance may take off (of a wish: add), so that nodes which lost the same store do not return together. */
const JITTER = 0.25;

interface BackOffOptions {
  /** Name of the plugin instance, for messages. */
  readonly name: string;
  readonly clock: Clock;
  /** 0 to 1, as Math.random. */
  readonly random: () => number;
}

/**
 * A store whose calls fail at once with STORE_UNAVAILABLE during the pause after a failure: 1 s, doubling up to 10 s, or as
 * long as the error asks for (readRetryAfter), up to 5 minutes.
 */
export function backOff(store: Store, options: BackOffOptions): Store {
  const wish: Wish = { untilMs: -Infinity, error: undefined };
  const pauses = { get: createPause({ ...options, wish }), set: createPause({ ...options, wish }) };
  return wrapStore(store, (call) => pauses[call.operation](call));
}

/** What the service asked for, whatever was called. */
interface Wish {
  untilMs: number;
  error: unknown;
}

/** The pause of one operation. */
function createPause({ name, clock, random, wish }: BackOffOptions & { readonly wish: Wish }) {
  let failures = 0;
  let lastError: unknown;
  let retryAtMs = 0;
  let trial: Promise<void> | undefined;

  function throwIfPaused(operation: StoreOperation): void {
    const nowMs = clock.monotonic();
    const waitMs = Math.max(failures > 0 ? retryAtMs : -Infinity, wish.untilMs) - nowMs;
    if (waitMs <= 0) return;
    const cause = failures > 0 ? lastError : wish.error;
    const times = failures === 1 ? "failed once" : `failed ${failures} times`;
    const why = failures > 0 ? times : "the service wants to be left alone";
    const message = `Cannot ${storeAction(operation, name)}: ${why}, next try in ${Math.ceil(waitMs / 1000)} s: ${describeError(cause)}`;
    throw new StunmeshError("STORE_UNAVAILABLE", message, { cause });
  }

  async function attempt<Result>({ signal, run }: StoreCall<Result>): Promise<Result> {
    const failuresBefore = failures;
    try {
      const result = await run(signal);
      failures = 0;
      return result;
    } catch (error) {
      // A call that somebody stopped says nothing about the store.
      if (signal.aborted) throw error;
      if (isUnreachable(error)) pause(error, failuresBefore);
      else failures = 0;
      throw error;
    }
  }

  function pause(error: unknown, failuresBefore: number): void {
    const nowMs = clock.monotonic();
    const chance = JITTER * random();
    // Of calls that were under way together and failed together, the first counts for all.
    if (failures === failuresBefore) {
      failures++;
      lastError = error;
      retryAtMs = nowMs + Math.min(FIRST_PAUSE_MS * 2 ** (failures - 1), LONGEST_PAUSE_MS) * (1 - chance);
    }
    const wishMs = readRetryAfter(error);
    if (wishMs === undefined) return;
    const untilMs = nowMs + Math.min(wishMs, LONGEST_WISH_MS) * (1 + chance);
    if (untilMs > wish.untilMs) Object.assign(wish, { untilMs, error });
  }

  return async <Result>(call: StoreCall<Result>): Promise<Result> => {
    throwIfPaused(call.operation);
    while (failures > 0) {
      if (!trial) {
        const attempted = attempt(call);
        trial = attempted.then(
          () => undefined,
          () => undefined,
        );
        try {
          return await attempted;
        } finally {
          trial = undefined;
        }
      }
      await settledOrAborted(trial, call.signal);
      throwIfPaused(call.operation);
    }
    return attempt(call);
  };
}

function isUnreachable(error: unknown): boolean {
  const code = errorCode(error);
  return code === "STORE_UNAVAILABLE" || code === "TIMEOUT";
}

async function settledOrAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    void promise.then(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    });
  });
}
