/** Reads what is known of this host and its process. Touches nothing, and what cannot be read is not known. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Clock } from "../clock.ts";
import type { Config } from "../config/types.ts";
import { describeError } from "../errors.ts";
import { loadLibc } from "../platform/native/libc.ts";
import type { HostFacts } from "./facts.ts";

/** Of systemd-timesyncd(8): the directory is there while it runs, the file since it has set the clock. */
const TIMESYNC = "/run/systemd/timesync";

export async function readHost(options: {
  readonly config: Config;
  readonly warnings: readonly string[];
  readonly clock: Clock;
}): Promise<HostFacts> {
  const { config, warnings, clock } = options;
  const nativeError = await loadLibc().then(
    () => undefined,
    (error: unknown) => describeError(error),
  );
  return {
    configPath: config.path,
    summary: summarize(config),
    warnings,
    nodeVersion: process.versions.node,
    nativeError,
    isRoot: process.geteuid?.() === 0,
    capabilities: await readCapabilities(),
    isClockSynchronized: existsSync(TIMESYNC) ? existsSync(`${TIMESYNC}/synchronized`) : undefined,
    nowMs: clock.now(),
  };
}

function summarize({ interfaces, plugins, stun }: Config): string {
  const count = (number: number, what: string) => `${number} ${what}${number === 1 ? "" : "s"}`;
  const peers = interfaces.flatMap((one) => one.peers).length;
  return [
    count(interfaces.length, "interface"),
    count(peers, "peer"),
    count(plugins.length, "plugin"),
    count(stun.servers.length, "STUN server"),
  ].join(", ");
}

/** The effective ones, proc_pid_status(5). */
async function readCapabilities(): Promise<bigint | undefined> {
  const text = await readFile("/proc/self/status", "utf8").catch(() => "");
  const [, hex] = /^CapEff:\s*([0-9a-f]+)$/m.exec(text) ?? [];
  return hex === undefined ? undefined : BigInt(`0x${hex}`);
}
