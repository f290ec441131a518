/**
 * The built program on the hosts of a lab: as a daemon whose log is read line by line, and as a command that ends.
 * Which program: the one STUNMESH_PROGRAM names, else the bundle that `npm run build` makes.
 */
import { mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { repositoryRoot } from "../fixtures/path.ts";
import { captureOf, type LabCapture } from "./capture.ts";
import type { Lab, LabHost } from "./lab.ts";
import { type CommandResult, type LabProcess, runCommand } from "./process.ts";
import { PATIENCE_MS, waitFor } from "./wait.ts";

export const program = resolve(process.env.STUNMESH_PROGRAM ?? join(repositoryRoot, "dist/stunmesh-ts.js"));

/** One line of the log: the fields of src/log.ts. */
export interface DaemonEvent {
  readonly level: string;
  /** ISO 8601. */
  readonly time: string;
  readonly msg: string;
  readonly peer?: string;
  readonly plugin?: string;
  readonly family?: string;
  readonly server?: string;
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly endpoint?: string;
  readonly reason?: string;
  readonly hint?: string;
  readonly code?: string;
  readonly err?: string;
}

export interface ProgramOptions {
  /** Written to a file as it is; an object as JSON, which is YAML. */
  readonly config: object | string;
  /** After `--config FILE`. Default: JSON at debug level. */
  readonly args?: readonly string[];
  /** Commands to put in front: ["setpriv", ...]. */
  readonly wrap?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Daemon {
  readonly host: LabHost;
  readonly process: LabProcess;
  /** performance.now() of the start. */
  readonly startedAtMs: number;
  /** What it has logged so far. */
  events(): readonly DaemonEvent[];
  /** The first event, of those that came and those to come, that has these values; text is also found as a part. */
  waitForEvent(wanted: Partial<DaemonEvent>, options?: { readonly timeoutMs?: number }): Promise<DaemonEvent>;
}

/** Starts `stunmesh-ts run` on `host`. It ends with the lab at the latest. */
export async function startDaemon(lab: Lab, host: LabHost, options: ProgramOptions): Promise<Daemon> {
  const startedAtMs = performance.now();
  const process = await lab.spawn(host.name, programArgv(lab, host, { ...options, command: ["run"] }), {
    logFile: join(lab.directory, "log", `daemon-${host.name}.log`),
    env: programEnv(lab, host, options),
  });
  return {
    host,
    process,
    startedAtMs,
    events: () => process.lines.flatMap((line) => parseEvent(line) ?? []),
    async waitForEvent(wanted, { timeoutMs = PATIENCE_MS } = {}) {
      const what = `${JSON.stringify(wanted)} of the daemon of ${host.name}`;
      const line = await process.waitForLine((text) => isWanted(parseEvent(text), wanted), { timeoutMs, what });
      return JSON.parse(line);
    },
  };
}

/** Runs the program to its end, whatever its exit status: `command` is ["publish", "--json"], say. */
export function runProgram(
  lab: Lab,
  host: LabHost,
  options: ProgramOptions & { readonly command: readonly string[]; readonly timeoutMs?: number },
): Promise<CommandResult> {
  const { timeoutMs = PATIENCE_MS } = options;
  const argv = ["nsenter", `--net=/run/netns/${host.namespace}`, ...programArgv(lab, host, options)];
  return runCommand(argv, { timeoutMs, env: programEnv(lab, host, options) });
}

export interface MeshConfigOptions {
  readonly peers: readonly LabHost[];
  readonly stun: readonly string[];
  readonly protocol?: "ipv4" | "ipv6" | "dualstack";
  readonly peerProtocol?: "ipv4" | "ipv6" | "prefer_ipv4" | "prefer_ipv6";
  readonly refreshInterval?: string;
  /** Pings through the tunnel, every second. */
  readonly ping?: boolean;
  /** Default: what the environment says (capture.ts), else what the program does by itself. */
  readonly capture?: LabCapture;
  /** Default: one folder of the lab that all share. */
  readonly plugins?: Readonly<Record<string, object>>;
  /** Plugin of a peer; default the only one. */
  readonly pluginOf?: (peer: LabHost) => string;
}

/** A configuration for `host`; peers are named as their hosts. */
export function meshConfig(lab: Lab, host: LabHost, options: MeshConfigOptions): object {
  const { peers, stun, protocol = "ipv4", peerProtocol = "ipv4", refreshInterval = "10m" } = options;
  const { capture, pluginOf, ping = false, plugins = { shared: { type: "file", path: storeOf(lab) } } } = options;
  const [onlyPlugin = ""] = Object.keys(plugins);
  const entries = peers.map((peer) => {
    const plugin = pluginOf?.(peer) ?? onlyPlugin;
    const pinged = ping ? { ping: { enabled: true, target: peer.tunnel4, interval: "1s" } } : {};
    return [peer.name, { public_key: peer.publicKey, plugin, protocol: peerProtocol, ...pinged }] as const;
  });
  return {
    refresh_interval: refreshInterval,
    stun: { addresses: stun },
    interfaces: {
      [host.wireguardInterface]: { ...captureOf(host, capture), protocol, peers: Object.fromEntries(entries) },
    },
    plugins,
  };
}

/** The folder of the plugin `file` that the hosts of a lab share. */
export function storeOf(lab: Lab): string {
  const path = join(lab.directory, "store");
  mkdirSync(path, { recursive: true });
  return path;
}

/**
 * Waits for a handshake on both sides and pings both ways; resolves with performance.now() of the answers. Not tried with
 * pings: without an endpoint a ping makes WireGuard begin a handshake that leads nowhere, and wait 5 s before the next.
 */
export async function waitForTunnel(
  lab: Lab,
  [one, two]: readonly [LabHost, LabHost],
  { timeoutMs = PATIENCE_MS }: { readonly timeoutMs?: number } = {},
): Promise<number> {
  for (const [from, to] of [
    [one, two],
    [two, one],
  ] as const) {
    await waitFor(() => lab.latestHandshake(from.name, to.name), {
      what: `a handshake of ${from.name} with ${to.name}`,
      timeoutMs,
      everyMs: 50,
    });
  }
  await Promise.all([lab.waitForAnswer(one.name, two.tunnel4), lab.waitForAnswer(two.name, one.tunnel4)]);
  return performance.now();
}

/** Every host has its own state directory and control socket, which go with the lab. */
function programEnv(lab: Lab, host: LabHost, { env }: ProgramOptions): Readonly<Record<string, string>> {
  const directory = (kind: string) => join(lab.directory, `${kind}-${host.name}`);
  return { STATE_DIRECTORY: directory("state"), RUNTIME_DIRECTORY: directory("run"), ...env };
}

let configs = 0;

function programArgv(
  lab: Lab,
  host: LabHost,
  options: ProgramOptions & { readonly command: readonly string[] },
): readonly string[] {
  const { config, command, args = ["--log-format", "json", "--log-level", "debug"], wrap = [] } = options;
  if (!statSync(program, { throwIfNoEntry: false })) {
    throw new Error(`Cannot start "${program}": it is not there; run "npm run build"`);
  }
  configs++;
  const file = join(lab.directory, `${host.name}-${configs}.yaml`);
  writeFileSync(file, typeof config === "string" ? config : JSON.stringify(config), { mode: 0o600 });
  return [...wrap, process.execPath, program, ...command, "--config", file, ...args];
}

function parseEvent(line: string): DaemonEvent | undefined {
  try {
    return JSON.parse(line);
  } catch {
    // Not a log line: a warning of Node's, say. It is in the log file.
    return undefined;
  }
}

function isWanted(event: DaemonEvent | undefined, wanted: Partial<DaemonEvent>): boolean {
  if (!event) return false;
  return Object.entries(wanted).every(([field, value]) => {
    const found = event[field as keyof DaemonEvent];
    return found === value || (found !== undefined && field !== "msg" && found.includes(value));
  });
}

/** How often wireguard-go of `host` says its endpoints were written. The lab has to be opened with LAB_WG_LOG=verbose. */
export function countEndpointWrites(lab: Lab, host: LabHost): number {
  const text = readFileSync(join(lab.directory, "log", `wg-${host.name}.log`), "utf8");
  return text.split("UAPI: Updating endpoint").length - 1;
}
