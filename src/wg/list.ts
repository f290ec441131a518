/**
 * Which WireGuard interfaces this machine has: the sockets of userspace daemons, and what wg(8) lists. For a person who
 * writes a configuration; the daemon itself only ever asks for the interfaces it was told.
 */
import { readdir } from "node:fs/promises";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { errorCode, StunmeshError } from "../errors.ts";
import { defaultRuntimeDirs } from "./index.ts";
import { whyNotAnInterfaceName } from "./name.ts";
import { runTool } from "./tool-run.ts";

interface ListOptions {
  readonly clock: Clock;
  /** Directories where userspace daemons have their sockets; default the two that are in use. */
  readonly runtimeDirs?: readonly string[];
  /** Name or path of wg(8); default "wg". */
  readonly wgCommand?: string;
}

const TIMEOUT_MS = 10_000;

/**
 * Names of the interfaces, sorted; a socket may be the leftover of a daemon that died. Throws PERMISSION_DENIED,
 * WG_TOOL_MISSING or WG_FAILED only when nothing at all was found and that is a likely reason.
 */
export async function listDevices(options: ListOptions, signal: AbortSignal): Promise<readonly string[]> {
  const { clock, runtimeDirs = defaultRuntimeDirs, wgCommand = "wg" } = options;
  const action = "list the WireGuard interfaces";
  return withDeadline({ clock, timeoutMs: TIMEOUT_MS, signal, action }, async (stop) => {
    const found = await Promise.allSettled([...runtimeDirs.map(listSockets), listByTool(wgCommand, stop)]);
    stop.throwIfAborted();
    const names = found.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
    const usable = [...new Set(names)].filter((name) => whyNotAnInterfaceName(name) === undefined);
    const failures = found.flatMap((result) => (result.status === "rejected" ? [result.reason as unknown] : []));
    const refusal = failures.find((error) => errorCode(error) === "PERMISSION_DENIED") ?? failures[0];
    if (usable.length === 0 && refusal !== undefined) throw refusal;
    return usable.toSorted();
  });
}

async function listSockets(dir: string): Promise<readonly string[]> {
  try {
    const names = await readdir(dir);
    return names.filter((name) => name.endsWith(".sock")).map((name) => name.slice(0, -".sock".length));
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT" || code === "ENOTDIR") return [];
    const why = `no right to look into "${dir}"; run as root`;
    throw new StunmeshError("PERMISSION_DENIED", `Cannot list the WireGuard interfaces: ${why}`, { cause });
  }
}

async function listByTool(command: string, signal: AbortSignal): Promise<readonly string[]> {
  const { stdout, exitCode } = await runTool(command, { args: ["show", "interfaces"], signal }).catch((cause) => {
    signal.throwIfAborted();
    const why = `the command "${command}" cannot be run; install wireguard-tools`;
    throw new StunmeshError("WG_TOOL_MISSING", `Cannot list the WireGuard interfaces: ${why}`, { cause });
  });
  try {
    if (exitCode !== 0) {
      const how = exitCode === undefined ? "was killed" : `ended with status ${exitCode}`;
      throw new StunmeshError("WG_FAILED", `Cannot list the WireGuard interfaces: wg(8) ${how}`);
    }
    return stdout.use((bytes) => bytes.toString("utf8").split(/\s+/)).filter((name) => name !== "");
  } finally {
    stdout.wipe();
  }
}
