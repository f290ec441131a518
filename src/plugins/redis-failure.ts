/** What went wrong with a Redis server, in words that say what to do. Texts here are the end of "Cannot ... plugin: why". */
import { type ErrorCode, errorCode, StunmeshError } from "../errors.ts";
import type { RedisAddress } from "./redis-options.ts";
import { scrub } from "./scrub.ts";

/** Thrown when the connection ended: the command may or may not have been carried out. */
export class ConnectionLostError extends Error {}

/** An error reply of the server (`-WRONGPASS ...`). */
export class ReplyError extends Error {
  /** The word it begins with. */
  readonly kind: string;

  constructor(text: string) {
    super(text);
    this.kind = text.split(" ")[0] ?? "";
  }
}

/** True when the connection ended, however that was noticed. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof ConnectionLostError) return true;
  return error instanceof Error && "code" in error && (error.code === "ECONNRESET" || error.code === "EPIPE");
}

/** These will not become better by themselves: who cannot watch now cannot watch in a minute. */
const hopeless = new Set(["WRONGPASS", "NOAUTH", "NOPERM", "DENIED"]);

export function isHopeless(error: unknown): boolean {
  return error instanceof ReplyError && (hopeless.has(error.kind) || /password/.test(error.message));
}

const cluster = "the server is part of a Redis cluster, which this plugin does not follow";
/** By the first word of an error reply. All of them concern the server as a whole. */
const advice: Readonly<Record<string, string>> = {
  WRONGPASS: "wrong user name or password",
  NOAUTH: "the server wants a password: give `password`",
  NOPERM: "the user lacks a right (docs/plugins.md lists those it needs)",
  DENIED: "the server accepts no connections from elsewhere (protected mode): give it a password",
  READONLY: "the server is a read-only replica: give the address of the primary",
  LOADING: "the server is starting",
  MASTERDOWN: "the server is a replica that lost its primary",
  MISCONF: "the server cannot write to its disk and accepts no changes",
  OOM: "the server has no memory left",
  MOVED: cluster,
  ASK: cluster,
  CLUSTERDOWN: cluster,
  CROSSSLOT: cluster,
  BUSY: "the server is busy with a script",
};
/** Errors that begin with the plain word ERR but concern the server as a whole. */
const wholeServer = /password|max number of clients|DB index|unknown command|NOPERM/i;

const systemAdvice: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused: is the server running there?",
  ECONNRESET: "connection reset",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the name cannot be resolved now",
  ETIMEDOUT: "no answer",
  EPIPE: "connection lost",
  EPROTO: "no TLS is spoken there: with redis:// it may work",
  ERR_SSL_WRONG_VERSION_NUMBER: "no TLS is spoken there: with redis:// it may work",
  ERR_TLS_CERT_ALTNAME_INVALID: "the certificate is of another name than that in `url`",
  CERT_HAS_EXPIRED: "the certificate has expired, or this host's clock is wrong",
  CERT_NOT_YET_VALID: "the certificate is not valid yet, or this host's clock is wrong",
  DEPTH_ZERO_SELF_SIGNED_CERT: "the certificate is not signed by a known authority: give that as `ca`",
  SELF_SIGNED_CERT_IN_CHAIN: "the certificate is not signed by a known authority: give that as `ca`",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "the certificate is not signed by a known authority: give that as `ca`",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "the certificate is not signed by a known authority: give that as `ca`",
};

/** `redis://host:port`: never with user or password. */
export function formatServer({ host, port, isTls }: RedisAddress): string {
  return `${isTls ? "rediss" : "redis"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** `error` as the store's error "Cannot <action>: <server>: <why>". `secrets` are taken out of what the server says. */
export function explainRedis(
  error: unknown,
  {
    action,
    address,
    secrets,
  }: { readonly action: string; readonly address: RedisAddress; readonly secrets: readonly string[] },
): StunmeshError {
  const { code, why } = judge(error, secrets);
  // Without the cause where it is the server's own text: that may quote a command, and with it a password.
  const options = error instanceof ReplyError ? {} : { cause: error };
  return new StunmeshError(code, `Cannot ${action}: ${formatServer(address)}: ${why}`, options);
}

function judge(error: unknown, secrets: readonly string[]): { readonly code: ErrorCode; readonly why: string } {
  if (errorCode(error) === "TIMEOUT") return { code: "STORE_UNAVAILABLE", why: "cannot connect: no answer" };
  if (error instanceof StunmeshError) return { code: error.code, why: error.message };
  if (error instanceof ReplyError) {
    const known = Object.hasOwn(advice, error.kind) ? advice[error.kind] : undefined;
    const said = scrub(error.message, secrets);
    if (known !== undefined) return { code: "STORE_UNAVAILABLE", why: `${known} (${said})` };
    return { code: wholeServer.test(error.message) ? "STORE_UNAVAILABLE" : "STORE_FAILED", why: said };
  }
  const code = error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
  const text = error instanceof Error ? error.message : String(error);
  return { code: "STORE_UNAVAILABLE", why: systemAdvice[code] ?? (text === "" ? code : text) };
}
