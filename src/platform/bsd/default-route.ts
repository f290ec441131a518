/**
 * The interface of the default route, as route(8) tells it: `route -n get [-fib N] [-inet6] default`. Parsing is pure.
 *
 * A route counts without a gateway too, as over PPPoE or LTE; one that is for a single interface's own sockets only
 * (IFSCOPE of macOS) or that drops what it gets does not.
 */
import { execFile } from "node:child_process";
import type { Family } from "../../address.ts";
import { withDeadline } from "../../deadline.ts";
import { StunmeshError } from "../../errors.ts";
import { systemCallFailed } from "../native/system-error.ts";
import type { ReadDefaultRoute } from "../pcap/types.ts";
import type { BsdSystem } from "./system.ts";

const TIMEOUT_MS = 2_000;
const OUTPUT_MAX_BYTES = 16 * 1024;
const ROUTE_COMMAND = "/sbin/route";

/** Flags of a route that leads nowhere, or not everybody. */
const notForAll = ["REJECT", "BLACKHOLE", "IFSCOPE"];
/** What route(8) of both systems and of several releases says when there is none. */
const noRoute = /not in table|has not been found|no such process|network is unreachable/i;

export interface RouteOutput {
  /** Exit status; undefined when a signal ended it. */
  readonly status: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

/** The arguments that ask for the default route of `family`, in the routing table `fib` of FreeBSD. */
export function encodeRouteGet(family: Family, fib: number | undefined): readonly string[] {
  return ["-n", "get", ...(fib === undefined ? [] : ["-fib", `${fib}`]), ...familyOption(family), "default"];
}

function familyOption(family: Family): readonly string[] {
  return [family === "ipv4" ? "-inet" : "-inet6"];
}

/** The interface in what route(8) printed; undefined when it says that there is no route. Throws an Error saying what else. */
export function parseRouteGet({ status, stdout, stderr }: RouteOutput): string | undefined {
  const [name, ...more] = fieldOf(stdout, "interface").split(/\s/);
  const flags = fieldOf(stdout, "flags").split(/[<>,]/);
  if (name && more.length === 0) return flags.some((flag) => notForAll.includes(flag)) ? undefined : name;
  if (noRoute.test(stdout) || noRoute.test(stderr)) return undefined;
  const [line = ""] = stderr.trim().split("\n");
  throw new Error(`${ROUTE_COMMAND} ended with status ${status ?? "unknown"}${line === "" ? "" : `: ${line}`}`);
}

/** What stands behind `name:` in the first line that begins with it; empty when none does. */
function fieldOf(output: string, name: string): string {
  const lines = output.split("\n").map((line) => line.trim());
  const line = lines.find((one) => one.startsWith(`${name}:`)) ?? "";
  return line.slice(name.length + 1).trim();
}

/** Makes the reader of a system. `command` replaces route(8) in tests. */
export function createReadDefaultRoute({
  system,
  clock,
  command = ROUTE_COMMAND,
}: {
  readonly system: BsdSystem;
  readonly clock: Parameters<typeof withDeadline>[0]["clock"];
  readonly command?: string;
}): ReadDefaultRoute {
  return (family, { fib, signal }) => {
    const action = `read the default route of ${family === "ipv4" ? "IPv4" : "IPv6"}`;
    return withDeadline({ clock, timeoutMs: TIMEOUT_MS, signal, action }, async (stop) => {
      try {
        const table = system.constants.SO_SETFIB === undefined ? undefined : fib;
        return parseRouteGet(await run(command, { args: encodeRouteGet(family, table), signal: stop }));
      } catch (cause) {
        stop.throwIfAborted();
        throw cause instanceof StunmeshError ? cause : systemCallFailed(action, cause);
      }
    });
  };
}

/** Runs a program to its end, in an environment of its own. Rejects when it does not start or prints too much. */
function run(
  command: string,
  { args, signal }: { readonly args: readonly string[]; readonly signal: AbortSignal },
): Promise<RouteOutput> {
  const options = {
    cwd: "/",
    env: { PATH: "/sbin:/usr/sbin:/bin:/usr/bin", LC_ALL: "C" },
    maxBuffer: OUTPUT_MAX_BYTES,
    killSignal: "SIGKILL",
    signal,
  } as const;
  return new Promise((resolve, reject) => {
    execFile(command, args, options, (error, stdout, stderr) => {
      // Its own exit status is a number; a text says that it could not be run.
      if (error && typeof error.code !== "number") reject(error);
      else resolve({ status: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
    });
  });
}
