/**
 * What the Cloudflare API answers: an envelope `{ success, errors: [{ code, message }], messages, result }` around
 * everything, also around failures. `success: false` is a failure whatever the status says.
 */
import { type ErrorCode, StunmeshError } from "../errors.ts";
import type { HttpReply } from "./http-client.ts";
import { httpError } from "./http-errors.ts";
import { parseRetryAfter, type RetryAfter } from "./retry-after.ts";
import { scrub } from "./scrub.ts";

/** Stands as the cause of an error: what the API said. */
export interface CloudflareRefusal extends Partial<RetryAfter> {
  readonly status: number;
  readonly codes: readonly number[];
  /** Codes and messages as one line. */
  readonly words: string;
}

interface ReplyOptions {
  readonly url: URL;
  /** For messages: "Cannot <action>: why". */
  readonly action: string;
  /** What the token must be allowed, for the messages: `Zone:Read and DNS:Edit of the zone "example.com"`. */
  readonly rights: string;
  /** Kept out of messages. */
  readonly secrets: readonly string[];
  readonly nowMs: number;
}

/** For too many calls, when the answer does not say how long. */
const BLOCKED_MS = 60_000;
/** Codes that mean the token, whatever the status: some come as status 400. */
const tokenCodes = new Set([6003, 6111, 9106, 9107, 9109, 10000, 10001]);

/** Throws unless `reply` has a status of 200 to 299 and an envelope that says success. */
export function checkReply(reply: HttpReply, options: ReplyOptions): void {
  const envelope = parseEnvelope(reply.text);
  const isSuccess = reply.status >= 200 && reply.status < 300;
  if (isSuccess && envelope?.success === true) return;
  if (isSuccess && envelope?.success !== false) {
    const why = "its answer is none of the Cloudflare API: is api_url right?";
    throw httpError("STORE_REPLY_INVALID", { ...options, why });
  }
  throw refusalError(reply, options);
}

/** What a status from 400 says, or a `success: false`. */
export function refusalError(reply: HttpReply, options: ReplyOptions): StunmeshError {
  const { status, headers } = reply;
  const errors = listErrors(parseEnvelope(reply.text));
  const codes = errors.flatMap(({ code }) => (typeof code === "number" ? [code] : []));
  const words = scrub(errors.map(formatError).join("; "), options.secrets);
  const field = headers["retry-after"];
  const retryAfterMs =
    status === 429 ? (parseRetryAfter(field, options) ?? BLOCKED_MS) : parseRetryAfter(field, options);
  const cause: CloudflareRefusal = { status, codes, words, ...(retryAfterMs !== undefined && { retryAfterMs }) };
  const { code, meaning } = judge(cause, options);
  const why = `${meaning} (status ${status}${words && `: ${words}`})`;
  return httpError(code, { ...options, why, cause });
}

/** What the API said, of an error that `refusalError` made. */
export function readRefusal(error: unknown): CloudflareRefusal | undefined {
  const cause = error instanceof StunmeshError ? error.cause : undefined;
  return typeof cause === "object" && cause !== null && "codes" in cause ? (cause as CloudflareRefusal) : undefined;
}

function judge(
  { status, codes, retryAfterMs }: CloudflareRefusal,
  { rights }: ReplyOptions,
): { readonly code: ErrorCode; readonly meaning: string } {
  if (status === 429) {
    const seconds = Math.ceil((retryAfterMs ?? 0) / 1000);
    return { code: "STORE_UNAVAILABLE", meaning: `too many calls, no answer for ${seconds} s` };
  }
  if (status === 403) {
    return { code: "STORE_UNAVAILABLE", meaning: `the token is not valid or lacks a right, it needs ${rights}` };
  }
  if (status === 401 || codes.some((code) => tokenCodes.has(code))) {
    return { code: "STORE_UNAVAILABLE", meaning: `it does not accept the token, which needs ${rights}` };
  }
  if (status >= 500) return { code: "STORE_UNAVAILABLE", meaning: "it has a failure of its own" };
  if (status === 404) return { code: "STORE_FAILED", meaning: "it does not know what was asked for" };
  return { code: "STORE_FAILED", meaning: "it refuses the request" };
}

interface Envelope {
  readonly success?: unknown;
  readonly errors?: unknown;
}

function parseEnvelope(text: string): Envelope | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    // No JSON, or a part of one: the caller says so.
    return undefined;
  }
}

interface ErrorEntry {
  readonly code?: unknown;
  readonly message?: unknown;
}

/** The errors of an envelope, with those that explain them. */
function listErrors(envelope: Envelope | undefined): readonly ErrorEntry[] {
  const errors: readonly unknown[] = Array.isArray(envelope?.errors) ? envelope.errors : [];
  return errors.slice(0, 5).flatMap((entry) => {
    if (typeof entry !== "object" || entry === null) return [];
    const chain = "error_chain" in entry && Array.isArray(entry.error_chain) ? entry.error_chain.slice(0, 3) : [];
    return [entry, ...chain.filter((inner: unknown) => typeof inner === "object" && inner !== null)];
  });
}

function formatError({ code, message }: ErrorEntry): string {
  const text = typeof message === "string" ? message : "";
  return typeof code === "number" ? `${text} (${code})` : text;
}
