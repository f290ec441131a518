/**
 * What it means when wg(8) fails: an error that says what to do, made of its exit and of what it wrote to stderr, with
 * every key taken out.
 */
import { StunmeshError } from "../errors.ts";

interface FailureContext {
  /** Name of the interface. */
  readonly name: string;
  /** "read" or "set endpoints on". */
  readonly verb: string;
  /** Base64 of the public keys that may be shown. */
  readonly publicKeys: readonly string[];
}

const MAX_TEXT_CHARS = 300;

/** No such interface (Linux, FreeBSD). */
const deviceMissing = /No such device|Device not configured/i;
/** Or one of another kind, in wg's own sentence only: a library that is missing is "No such file" too. */
const deviceUnable = /Unable to \w+ interface: /i;
const unableWhy = /No such file|Inappropriate ioctl|not supported/i;
const forbidden = /Operation not permitted|Permission denied/i;

/** True when wg(8) says that the interface does not exist or is not a WireGuard interface. */
export function isDeviceMissing(stderr: string): boolean {
  return deviceMissing.test(stderr) || (deviceUnable.test(stderr) && unableWhy.test(stderr));
}

/** The error for a wg(8) that ended with `exitCode` and wrote `stderr`. */
export function toolError(result: { exitCode: number | undefined; stderr: string }, context: FailureContext) {
  const { name, verb, publicKeys } = context;
  const action = `Cannot ${verb} WireGuard interface "${name}"`;
  const { exitCode, stderr } = result;
  if (isDeviceMissing(stderr)) return new StunmeshError("WG_DEVICE_NOT_FOUND", `${action}: it went away`);
  if (forbidden.test(stderr)) {
    return new StunmeshError(
      "PERMISSION_DENIED",
      `${action}: it needs root, or on Linux the capability CAP_NET_ADMIN (AmbientCapabilities=CAP_NET_ADMIN under systemd)`,
    );
  }
  const text = scrubKeys(stderr, publicKeys);
  const how = exitCode === undefined ? "was killed" : `ended with status ${exitCode}`;
  return new StunmeshError(
    "WG_FAILED",
    `${action}: wg(8) ${how}${text === "" ? "" : `, saying ${JSON.stringify(text)}`}`,
  );
}

/** The error for a command that could not be started. */
export function spawnError(error: unknown, command: string, { name, verb }: Pick<FailureContext, "name" | "verb">) {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const action = `Cannot ${verb} WireGuard interface "${name}"`;
  if (code === "ENOENT" || code === "EACCES") {
    return new StunmeshError(
      "WG_TOOL_MISSING",
      `${action}: no userspace daemon serves it, and the command "${command}" for kernel WireGuard ${code === "ENOENT" ? "is not there" : "may not be run"}; start the interface, or install wireguard-tools`,
      { cause: error },
    );
  }
  return new StunmeshError("WG_FAILED", `${action}: "${command}" does not start`, { cause: error });
}

/** One printable line of `text` in which whatever could be a key, and is none of `publicKeys`, is replaced. */
function scrubKeys(text: string, publicKeys: readonly string[]): string {
  const shown = new Set(publicKeys);
  return text
    .replace(/[A-Za-z0-9+/]{40,}={0,2}/g, (token) => (shown.has(token) ? token : "(key)"))
    .replace(/[^\x20-\x7e]+/g, " ")
    .trim()
    .slice(-MAX_TEXT_CHARS);
}
