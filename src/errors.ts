/**
 * The one error class of the program, and the table of its codes.
 *
 * Every code says what a person can do about it (docs/errors.md has one line per code; a test compares the two).
 * `exitCode` is what a command ends with when this error ends it (sysexits.h); the daemon itself ends only for codes
 * with `fatal: true`, everything else it logs and retries.
 */

interface ErrorKind {
  /** Exit status from sysexits.h: 64 usage, 66 no input, 69 unavailable, 73 cannot create, 75 temporary failure, 77 permission, 78 config. */
  readonly exitCode: number;
  /** True when waiting cannot help: the daemon ends. */
  readonly fatal: boolean;
}

export const errorKinds = {
  USAGE: { exitCode: 64, fatal: true },
  CONFIG_NOT_FOUND: { exitCode: 66, fatal: true },
  CONFIG_UNREADABLE: { exitCode: 66, fatal: true },
  CONFIG_INVALID: { exitCode: 78, fatal: true },
  SECRET_UNREADABLE: { exitCode: 78, fatal: true },
  FILE_NOT_CREATED: { exitCode: 73, fatal: true },
  PLATFORM_UNSUPPORTED: { exitCode: 69, fatal: true },
  NATIVE_UNAVAILABLE: { exitCode: 69, fatal: true },
  PERMISSION_DENIED: { exitCode: 77, fatal: true },
  SYSTEM_CALL_FAILED: { exitCode: 75, fatal: false },
  WG_TOOL_MISSING: { exitCode: 69, fatal: false },
  WG_DEVICE_NOT_FOUND: { exitCode: 69, fatal: false },
  WG_DEVICE_NOT_READY: { exitCode: 75, fatal: false },
  WG_DEVICE_UNSUPPORTED: { exitCode: 69, fatal: false },
  WG_PEER_NOT_FOUND: { exitCode: 75, fatal: false },
  WG_REPLY_INVALID: { exitCode: 75, fatal: false },
  WG_FAILED: { exitCode: 75, fatal: false },
  STUN_NO_ANSWER: { exitCode: 75, fatal: false },
  STUN_UNUSABLE: { exitCode: 75, fatal: false },
  STUN_NOT_SENT: { exitCode: 75, fatal: false },
  STUN_NAME_UNRESOLVED: { exitCode: 75, fatal: false },
  STORE_UNAVAILABLE: { exitCode: 75, fatal: false },
  STORE_FAILED: { exitCode: 75, fatal: false },
  STORE_REPLY_INVALID: { exitCode: 75, fatal: false },
  RECORD_UNREADABLE: { exitCode: 75, fatal: false },
  RECORD_INVALID: { exitCode: 75, fatal: false },
  RECORD_REFLECTED: { exitCode: 75, fatal: false },
  RECORD_ROLLED_BACK: { exitCode: 75, fatal: false },
  RECORD_NO_FAMILY: { exitCode: 75, fatal: false },
  CONTROL_UNAVAILABLE: { exitCode: 69, fatal: false },
  STATE_UNAVAILABLE: { exitCode: 75, fatal: false },
  ALREADY_RUNNING: { exitCode: 75, fatal: true },
  HOOK_FAILED: { exitCode: 75, fatal: false },
  KEY_INVALID: { exitCode: 78, fatal: false },
  TIMEOUT: { exitCode: 75, fatal: false },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof errorKinds;

/** A failure with a stable code. `message` reads "Cannot do X: why", without a final period and without secrets. */
export class StunmeshError extends Error {
  override readonly name = "StunmeshError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** True for the AbortError that an aborted AbortSignal makes: somebody stopped the work, nothing failed. */
export function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** True for an error that waiting cannot help. */
export function isFatal(error: unknown): boolean {
  return error instanceof StunmeshError && errorKinds[error.code].fatal;
}

/** The code of a StunmeshError, else undefined. */
export function errorCode(error: unknown): ErrorCode | undefined {
  return error instanceof StunmeshError ? error.code : undefined;
}

const MAX_CAUSES = 5;

/** One line for a person: the message of `error`, followed by the messages of its causes that add something. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return onOneLine(String(error));
  const parts = [onOneLine(error.message)];
  let cause = error.cause;
  // Counted, because causes may go round in a circle.
  for (let depth = 0; cause instanceof Error && depth < MAX_CAUSES; depth++) {
    const message = onOneLine(cause.message);
    if (message !== "" && !parts.some((part) => part.includes(message))) parts.push(message);
    cause = cause.cause;
  }
  return parts.join(": ");
}

/** "2 errors", line break, "a", line break, "b" -> "2 errors: a; b": a log and a status would show something else for the breaks. */
function onOneLine(text: string): string {
  const [head = "", ...others] = text
    .split(/[\r\n]/)
    .map((line) => line.trim())
    .filter((line) => line !== "");
  return others.length === 0 ? head : `${head}${head.endsWith(":") ? "" : ":"} ${others.join("; ")}`;
}
