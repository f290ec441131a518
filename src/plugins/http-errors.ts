/**
 * What failures of HTTP mean to a store, in words that say what to do: of the connection, of TLS, and each status
 * (RFC 9110 section 15).
 */
import { type ErrorCode, StunmeshError } from "../errors.ts";
import { originOf } from "./http-agent.ts";
import { parseRetryAfter, type RetryAfter } from "./retry-after.ts";
import { scrub } from "./scrub.ts";

const unknownAuthority =
  "its certificate is signed by an authority this host does not know (NODE_EXTRA_CA_CERTS=FILE adds one)";
const noTls = "it does not speak TLS there: http:// instead of https://, or another port?";

/** By the `code` of Node's errors. */
const reasons: Readonly<Record<string, string>> = {
  EAI_AGAIN: "its name cannot be resolved now: DNS does not answer",
  ENOTFOUND: "there is no host of this name",
  ECONNREFUSED: "the connection is refused: nothing listens there",
  ECONNRESET: "the connection broke off",
  EPIPE: "the connection broke off",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to its network",
  ETIMEDOUT: "the connection timed out",
  EACCES: "this host's firewall forbids the connection",
  EPERM: "this host's firewall forbids the connection",
  CERT_HAS_EXPIRED: "its certificate has expired (or this host's clock is wrong)",
  CERT_NOT_YET_VALID: "its certificate is not valid yet: this host's clock is probably wrong",
  CERT_REVOKED: "its certificate was revoked",
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  ERR_TLS_CERT_ALTNAME_INVALID: "its certificate is for another name",
  EPROTO: noTls,
  ERR_SSL_WRONG_VERSION_NUMBER: noTls,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: noTls,
  HPE_HEADER_OVERFLOW: "the header of its answer is too long",
};

interface FailedRequest {
  readonly url: URL;
  /** For messages: "Cannot <action>: why". */
  readonly action: string;
}

/** A StunmeshError for whatever kept a request from being answered. An error of ours gives its code and reason. */
export function transportError(error: unknown, request: FailedRequest): StunmeshError {
  if (error instanceof StunmeshError) return httpError(error.code, { ...request, why: error.message, cause: error });
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const why = reasons[code] ?? (code.startsWith("HPE_") ? "it does not answer in HTTP" : describe(error, code));
  return httpError("STORE_UNAVAILABLE", { ...request, why: reasons[code] ? `${why} (${code})` : why, cause: error });
}

/** The message of every error about a request: which service, and why. */
export function httpError(
  code: ErrorCode,
  { action, url, why, cause }: FailedRequest & { readonly why: string; readonly cause?: unknown },
): StunmeshError {
  return new StunmeshError(code, `Cannot ${action}: "${originOf(url)}": ${why}`, { cause });
}

interface FailedReply extends FailedRequest {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** The beginning of what the service wrote. */
  readonly text: string;
  /** What must not be shown, though the service may repeat it. */
  readonly secrets: readonly string[];
  readonly nowMs: number;
}

/** What a status says that is not the wanted one, and what to do about it. */
const meanings: Readonly<Record<number, string>> = {
  401: "it does not accept the token, or wants one",
  403: "it forbids this: the token lacks the right to it",
  404: "there is nothing at this address: is the URL complete?",
  405: "it does not do this at this address: is the URL complete?",
  407: "the proxy wants a user and a password",
  413: "the value is too long for it",
  429: "too many requests",
};

/** A StunmeshError for an answer whose status is not the wanted one. Carries Retry-After as its cause (RetryAfter). */
export function statusError(reply: FailedReply): StunmeshError {
  const { status, headers, nowMs } = reply;
  const { location } = headers;
  const isRedirect = status >= 300 && status < 400 && typeof location === "string";
  const meaning = isRedirect
    ? `it says the service is at "${redirectTarget(location, reply.url)}": write that in the configuration`
    : (meanings[status] ?? (status >= 500 ? "it has a failure of its own" : "it refuses the request"));
  const words = quoteReply(reply);
  const why = `${meaning} (status ${status}${words && `: ${words}`})`;
  const field = headers["retry-after"];
  const retryAfterMs = parseRetryAfter(typeof field === "string" ? field : undefined, { nowMs });
  const cause: RetryAfter | undefined = retryAfterMs === undefined ? undefined : { retryAfterMs };
  return httpError(isWholeService(status) || isRedirect ? "STORE_UNAVAILABLE" : "STORE_FAILED", {
    ...reply,
    why,
    cause,
  });
}

function isWholeService(status: number): boolean {
  return [401, 403, 407, 408, 425, 429].includes(status) || (status >= 500 && status !== 501);
}

function redirectTarget(location: string, base: URL): string {
  return URL.canParse(location, base.href) ? originOf(new URL(location, base)) : "another place";
}

/** What the service said about it, if it wrote text for people. */
function quoteReply({ headers, text, secrets }: FailedReply): string {
  const type = String(headers["content-type"] ?? "");
  if (!/^(text\/plain|application\/(.*\+)?json)\b/.test(type)) return "";
  return scrub(text.slice(0, 300), secrets).slice(0, 200);
}

function describe(error: unknown, code: string): string {
  return scrub(error instanceof Error ? error.message : String(error), []) || code;
}
