/**
 * What went wrong in a system call, for a person.
 *
 * A failed call is first an Error with `code`, `errno` and `syscall`, as Node's own modules throw them, and becomes a
 * StunmeshError where it is known what the call was for. See errno(3).
 */
import { getSystemErrorMap } from "node:util";
import { StunmeshError } from "../../errors.ts";

/** An Error that reads "ENETUNREACH (sendmsg: network is unreachable)". `names` is used for what Node has no name for. */
export function systemError(
  syscall: string,
  { errno, names }: { readonly errno: number; readonly names: Readonly<Record<string, number>> },
): NodeJS.ErrnoException {
  const [nodeName, text] = getSystemErrorMap().get(-errno) ?? [];
  const code = nodeName ?? Object.entries(names).find(([, value]) => value === errno)?.[0] ?? `errno ${errno}`;
  const message = text === undefined ? `${code} (${syscall})` : `${code} (${syscall}: ${text})`;
  return Object.assign(new Error(message), { code, errno, syscall });
}

/** SYSTEM_CALL_FAILED for `cause`, which is kept: "Cannot <action>: ENETUNREACH (sendmsg: network is unreachable)". */
export function systemCallFailed(action: string, cause: unknown): StunmeshError {
  return new StunmeshError("SYSTEM_CALL_FAILED", `Cannot ${action}: ${messageOf(cause)}`, { cause });
}

/**
 * As systemCallFailed, but PERMISSION_DENIED with one line about `capability` when the system refused for want of it
 * (EPERM, EACCES). Only for calls where nothing else gives these: a firewall makes sendmsg() fail with EPERM too.
 */
export function openFailed(
  action: string,
  { cause, capability }: { readonly cause: unknown; readonly capability: "CAP_NET_RAW" | "CAP_NET_ADMIN" },
): StunmeshError {
  const { code } = cause as { readonly code?: unknown };
  if (code !== "EPERM" && code !== "EACCES") return systemCallFailed(action, cause);
  return new StunmeshError(
    "PERMISSION_DENIED",
    `Cannot ${action}: ${messageOf(cause)}: it needs the capability ${capability}; run as root, or with ` +
      `"AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN" in the systemd unit`,
    { cause },
  );
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
