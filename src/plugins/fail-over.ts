/**
 * Several places that serve the same store: asked in order, the next one when one failed, or as well when one is slow.
 *
 * A place that does not answer would otherwise use up the whole deadline of the call. The first success counts; what the others
 * do is stopped. A place that answered while those before it did not is asked first for a while. One that answers, but
 * too little, may have lost touch with the others: its answer counts when none has a better one within the same patience.
 */
import type { Clock } from "../clock.ts";
import { describeError, errorCode, StunmeshError } from "../errors.ts";

/** How long the others are asked first after the first place failed. */
const PREFER_MS = 5 * 60_000;

interface FailOverOptions<Place> {
  readonly places: readonly Place[];
  readonly clock: Clock;
  /** How long a place may think before the next one is asked as well. */
  readonly patienceMs: number;
}

/** Makes one call, to whichever place answers. */
export type FailOver<Place> = <T>(
  options: CallOptions<T>,
  call: (place: Place, signal: AbortSignal) => Promise<T>,
) => Promise<T>;

interface CallOptions<T> {
  readonly signal: AbortSignal;
  readonly action: string;
  /** False for an answer that another place may better. Default: every answer is good. */
  isEnough?(result: T): boolean;
}

/**
 * Calls `call` for one place after the other until one succeeds. When all fail, throws the error of the only place, or one
 * that has the reasons of all. Rejects with the signal's reason when aborted.
 */
export function createFailOver<Place>({ places, clock, patienceMs }: FailOverOptions<Place>): FailOver<Place> {
  let first = 0;
  let preferredUntilMs = 0;

  function prefer(index: number): void {
    if (index === first) return;
    first = index;
    preferredUntilMs = clock.monotonic() + PREFER_MS;
  }

  return async <T>(
    { signal, action, isEnough = () => true }: CallOptions<T>,
    call: (place: Place, signal: AbortSignal) => Promise<T>,
  ) => {
    signal.throwIfAborted();
    if (clock.monotonic() >= preferredUntilMs) first = 0;
    const stop = new AbortController();
    const onAbort = () => stop.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await new Promise<T>((resolve, reject) => {
        stop.signal.addEventListener("abort", () => reject(stop.signal.reason), { once: true });
        const errors: unknown[] = [];
        const lesser: { readonly result: T }[] = [];
        /** Places that are asked and may still think. */
        const thinking = new Set<number>();
        let begun = 0;
        function goOn(): void {
          if (begun < places.length || thinking.size > 0) return;
          if (lesser[0]) resolve(lesser[0].result);
          else if (errors.length === places.length) reject(joinErrors(errors, action));
        }
        function beginNext(): void {
          const index = (first + begun) % places.length;
          const place = places[index];
          if (place === undefined || begun === places.length) return;
          begun++;
          thinking.add(index);
          function passOn(): void {
            if (thinking.delete(index)) beginNext();
            goOn();
          }
          call(place, stop.signal).then(
            (result) => {
              if (isEnough(result)) {
                prefer(index);
                resolve(result);
                return;
              }
              lesser.push({ result });
              passOn();
            },
            (error: unknown) => {
              errors.push(error);
              passOn();
            },
          );
          clock.sleep(patienceMs, stop.signal).then(passOn, () => undefined);
        }
        beginNext();
      });
    } finally {
      signal.removeEventListener("abort", onAbort);
      stop.abort();
    }
  };
}

function joinErrors(errors: readonly unknown[], action: string): unknown {
  const [cause] = errors;
  if (errors.length === 1) return cause;
  const areAllUnavailable = errors.every((error) => errorCode(error) === "STORE_UNAVAILABLE");
  const prefix = `Cannot ${action}: `;
  const reasons = errors.map((error) => describeError(error).replace(prefix, ""));
  return new StunmeshError(areAllUnavailable ? "STORE_UNAVAILABLE" : "STORE_FAILED", prefix + reasons.join("; "), {
    cause,
  });
}
