/** What this process uses of the machine, as far as the system tells. */
import { readdir } from "node:fs/promises";
import type { ProcessUsage } from "./metric-row.ts";

const MICROSECONDS = 1_000_000;

/** Never fails: what cannot be known is left out. `startedAt` is ISO 8601. */
export async function readProcessUsage(startedAt: string): Promise<ProcessUsage> {
  const { user, system } = process.cpuUsage();
  return {
    residentBytes: process.memoryUsage.rss(),
    cpuSeconds: (user + system) / MICROSECONDS,
    openFiles: await countOpenFiles(),
    startedAtSeconds: Date.parse(startedAt) / 1000,
  };
}

/** Without the one that is open for counting. Only Linux has this folder: /dev/fd of FreeBSD has three entries, always. */
async function countOpenFiles(): Promise<number | undefined> {
  const names = await readdir("/proc/self/fd").catch(() => undefined);
  return names && names.length - 1;
}
