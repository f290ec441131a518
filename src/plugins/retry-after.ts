/**
 * How long a service asked to be left alone: the Retry-After field of HTTP (RFC 9110 section 10.2.3), carried on the cause
 * of an error from the plugin that read it to the wrapper that pauses.
 */

/** What stands as the `cause` of a STORE_UNAVAILABLE whose service said when to come back. */
export interface RetryAfter {
  readonly retryAfterMs: number;
}

/** Milliseconds that a Retry-After field means: whole seconds or a date. undefined when there is none, or no sense in it. */
export function parseRetryAfter(field: string | undefined, { nowMs }: { readonly nowMs: number }): number | undefined {
  const text = field?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  // Date.parse() takes much that is no date of HTTP: all three forms of those name the day and have a time.
  const atMs = /^[A-Z][a-z]+,? .*\d\d:\d\d:\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}

/** The wait that `error`, or one of its causes, asks for. */
export function readRetryAfter(error: unknown): number | undefined {
  let cause = error instanceof Error ? error.cause : undefined;
  for (let depth = 0; depth < 5; depth++) {
    if (isRetryAfter(cause)) return cause.retryAfterMs;
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return undefined;
}

function isRetryAfter(value: unknown): value is RetryAfter {
  return (
    typeof value === "object" && value !== null && "retryAfterMs" in value && typeof value.retryAfterMs === "number"
  );
}
