/**
 * What stands in the DHT: `{"magic":"stunmesh-v1","ts":<unix seconds>,"data":"<value>"}`, base64 in the `data` of a value of
 * the OpenDHT proxy. Byte for byte what STUNMESH-go and its scripts write and read.
 *
 * Everybody may put values under every key, so that whatever is not understood is passed over.
 */

/** A value somebody put. */
export interface Envelope {
  readonly value: string;
  /** When it was put, by the clock of whoever did; the newest is the best guess. */
  readonly seconds: number;
}

/** The body of a POST that puts `value`. */
export function encodePut({ value, seconds }: Envelope, { magic }: { readonly magic: string }): string {
  const envelope = JSON.stringify({ magic, ts: seconds, data: value });
  return JSON.stringify({ data: Buffer.from(envelope).toString("base64") });
}

/** One line of what a GET or a listening GET returns; undefined for what is no value of ours, or one that vanished. */
export function decodeLine(line: string, { magic }: { readonly magic: string }): Envelope | undefined {
  const entry = parseObject(line);
  if (!entry || entry.expired === true || typeof entry.data !== "string") return undefined;
  const envelope = parseObject(Buffer.from(entry.data, "base64").toString("utf8"));
  if (!envelope || envelope.magic !== magic || typeof envelope.data !== "string" || envelope.data === "")
    return undefined;
  const { ts } = envelope;
  return { value: envelope.data, seconds: typeof ts === "number" ? ts : 0 };
}

/** True for a line as a proxy writes it, whoever put the value. Tells an empty answer from the page of a captive portal. */
export function isProxyLine(line: string): boolean {
  return parseObject(line) !== undefined;
}

/** Clocks differ by as much without harm. */
const MAX_AHEAD_SECONDS = 120;

/**
 * Newest first; those of the same second stay in the order they came, as STUNMESH-go prefers them. Each value once. Who
 * dates a value in the future gains nothing by it: it comes after all others.
 */
export function sortValues(
  envelopes: readonly Envelope[],
  { nowSeconds }: { readonly nowSeconds: number },
): readonly string[] {
  const isAhead = ({ seconds }: Envelope) => Number(seconds > nowSeconds + MAX_AHEAD_SECONDS);
  const newestFirst = [...envelopes].sort((a, b) => isAhead(a) - isAhead(b) || b.seconds - a.seconds);
  return [...new Set(newestFirst.map(({ value }) => value))];
}

function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  // To throw takes a hundred times as long as to look, and lines are many.
  if (!text.trimStart().startsWith("{")) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  return typeof parsed === "object" && parsed !== null && !Array.isArray(parsed) ? { ...parsed } : undefined;
}
