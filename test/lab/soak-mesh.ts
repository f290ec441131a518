/** The second part of `npm run soak`: a mesh in which something breaks all the time. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { type Daemon, meshConfig, startDaemon } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import { type ProcessUsage, type Sample, sampleOf, usageOf } from "./process-usage.ts";
import { formatTable } from "./table.ts";
import { waitFor } from "./wait.ts";

const SITES = 8;
const FAULT_EVERY_MS = 20_000;
const SAMPLE_EVERY_MS = 15_000;
const MAX_GROWTH_KIB = 5 * 1024;
const MIN_MINUTES_FOR_GROWTH = 10;

export interface MeshResult {
  readonly minutes: number;
  readonly faults: number;
  /** Directions that were pinged at the end, and those that answered. */
  readonly directions: number;
  readonly working: number;
  readonly mute: readonly string[];
  /** From the end of the last fault until all worked, or were given up. Not looked at before the last 20 s are over. */
  readonly settledMs: number;
  readonly daemons: readonly ProcessUsage[];
}

/** Memory, descriptors and connections of a mesh after `minutes` of random faults. */
export async function runMesh(options: { readonly minutes: number; say(line: string): void }): Promise<MeshResult> {
  const { minutes, say } = options;
  const durationMs = minutes * 60_000;
  // The second uplinks are for wan_switch; sites with one uplink get other addresses instead.
  const sites = Array.from({ length: SITES }, (_, index) => ({ nat: "port", wans: index < 2 ? 2 : 1 }) as const);
  const lab = await openLab({ sites, services: ["stun1", "stun2"] });
  try {
    const daemons = new Map<LabHost, Daemon>();
    const startOn = async (host: LabHost) => {
      daemons.set(host, await startDaemon(lab, host, { config: configOf(lab, host), args: soakArgs }));
    };
    await Promise.all(lab.hosts.map(startOn));
    await waitForMesh(lab, { timeoutMs: 60_000 });
    say(`${SITES} sites, all ${SITES * (SITES - 1)} directions work`);

    const startedMs = performance.now();
    const samples = new Map<LabHost, Sample[]>(lab.hosts.map((host) => [host, []]));
    const sampler = setInterval(() => {
      for (const [host, daemon] of daemons) samples.get(host)?.push(sampleOf(daemon.process.pid));
    }, SAMPLE_EVERY_MS);
    let faults = 0;
    let lastFaultMs = startedMs;
    for (let nextMs = 0; nextMs < durationMs; nextMs += FAULT_EVERY_MS) {
      // Daemons that are started again would begin with a small memory: they are ended in the first third only.
      const restarts = nextMs < durationMs / 3;
      const fault = pick(restarts ? [...meshFaults, restartDaemon(daemons, { startOn, samples })] : meshFaults);
      const title = await fault(lab, pick(lab.hosts).site);
      faults++;
      lastFaultMs = performance.now();
      say(`${(nextMs / 60_000).toFixed(1)} min: ${title}`);
      const restMs = startedMs + nextMs + FAULT_EVERY_MS - performance.now();
      if (restMs > 0) await sleep(restMs);
    }
    clearInterval(sampler);
    const mute = await waitForMesh(lab, { timeoutMs: 60_000 }).catch(() => muteDirections(lab));
    const settledMs = performance.now() - lastFaultMs;
    const usages = lab.hosts.map((host) => usageOf(host.name, samples.get(host) ?? []));
    const directions = SITES * (SITES - 1);
    return { minutes, faults, directions, working: directions - mute.length, mute, settledMs, daemons: usages };
  } finally {
    await lab.close();
  }
}

const soakArgs = ["--log-format", "json", "--log-level", "info"];

function configOf(lab: Lab, host: LabHost): object {
  const peers = lab.hosts.filter((peer) => peer !== host);
  const config = meshConfig(lab, host, { peers, stun: [lab.stun.stun1.ipv4, lab.stun.stun2.ipv4] }) as {
    readonly interfaces: Record<string, { readonly peers: Record<string, object> }>;
  };
  const pings = peers.map(({ name, tunnel4 }) => [name, { enabled: true, target: tunnel4 }] as const);
  for (const { peers: entries } of Object.values(config.interfaces)) {
    for (const [name, ping] of pings) Object.assign(entries[name]!, { ping });
  }
  const state = join(lab.directory, `state-${host.name}`);
  mkdirSync(state, { recursive: true });
  return { ...config, state_directory: state };
}

type MeshFault = (lab: Lab, site: number) => Promise<string>;

/** Each ends what it began within 15 s. */
const meshFaults: readonly MeshFault[] = [
  async (lab, site) => {
    await lab.fault("rebind", `r${site}`);
    return `NAT of site ${site} forgets its mappings`;
  },
  async (lab, site) => {
    const other = (site % SITES) + 1;
    await Promise.all([lab.fault("rebind", `r${site}`), lab.fault("rebind", `r${other}`)]);
    return `NATs of sites ${site} and ${other} forget their mappings`;
  },
  async (lab, site) => {
    if (site <= 2) {
      const uplink = pick([0, 1]);
      await lab.fault("wan_switch", `r${site}`, uplink);
      return `site ${site} sends by uplink ${uplink}`;
    }
    const last = 2 + Math.floor(Math.random() * 5);
    await lab.fault("wan_addr", `r${site}`, last);
    return `site ${site} gets public address number ${last}`;
  },
  async (lab, site) => {
    await lab.fault("loss", `r${site}`, 30);
    await sleep(15_000);
    await lab.fault("loss", `r${site}`, 0);
    return `site ${site} had 30 % loss for 15 s`;
  },
  async (lab, site) => {
    await lab.fault("blackhole", `r${site}`, "on");
    await sleep(15_000);
    await lab.fault("blackhole", `r${site}`, "off");
    return `site ${site} was cut off for 15 s`;
  },
  async (lab, site) => {
    await lab.fault("uplink", `r${site}`, "down");
    await sleep(10_000);
    await lab.fault("uplink", `r${site}`, "up");
    return `the uplink of site ${site} was down for 10 s`;
  },
  async (lab, site) => {
    const server = pick(["stun1", "stun2"]);
    await lab.fault("stun_block", server, "on");
    await lab.fault("rebind", `r${site}`);
    await sleep(15_000);
    await lab.fault("stun_block", server, "off");
    return `${server} was silent for 15 s, and the NAT of site ${site} forgot its mappings`;
  },
  async (lab, site) => {
    const port = 40_000 + Math.floor(Math.random() * 10_000);
    await lab.fault("wg_stop", `h${site}`);
    await lab.fault("wg_start", `h${site}`, port);
    return `WireGuard of site ${site} was started again, on port ${port}`;
  },
];

function restartDaemon(
  daemons: ReadonlyMap<LabHost, Daemon>,
  { startOn, samples }: { startOn(host: LabHost): Promise<void>; samples: Map<LabHost, Sample[]> },
): MeshFault {
  return async (lab, site) => {
    const host = lab.host(site);
    await daemons.get(host)?.process.stop("SIGKILL");
    await lab.fault("rebind", `r${site}`);
    samples.set(host, []);
    await startOn(host);
    return `the daemon of site ${site} was killed and started again, and its NAT forgot its mappings`;
  };
}

async function waitForMesh(lab: Lab, { timeoutMs }: { readonly timeoutMs: number }): Promise<readonly string[]> {
  const found = await waitFor(
    async () => {
      // Not tried with a ping before all know where all are: WireGuard would wait 5 s after a handshake to nowhere.
      const tables = await Promise.all(
        lab.hosts.map((h) => lab.wg(h.name, ["show", h.wireguardInterface, "endpoints"])),
      );
      if (tables.some((table) => table.includes("(none)"))) return false;
      const mute = await muteDirections(lab);
      return mute.length === 0 && { mute };
    },
    { what: "answers in all directions", timeoutMs, everyMs: 500 },
  );
  return found.mute;
}

async function muteDirections(lab: Lab): Promise<readonly string[]> {
  const found = await Promise.all(
    lab.hosts.map(async (from) => {
      const mute: string[] = [];
      for (const to of lab.hosts) {
        if (to === from) continue;
        const { received } = await lab.ping(from.name, to.tunnel4, { timeoutMs: 1000 });
        if (received === 0) mute.push(`${from.name}-${to.name}`);
      }
      return mute;
    }),
  );
  return found.flat();
}

/** What is wrong with a result; empty when nothing is. */
export function findFaults({ mute, daemons, minutes }: MeshResult): readonly string[] {
  const silent = mute.map((direction) => `no answer from ${direction}`);
  // In a short time there are too few samples to tell growth from what comes and goes.
  if (minutes < MIN_MINUTES_FOR_GROWTH) return silent;
  return [
    ...silent,
    ...daemons
      .filter(({ rssGrowthKib }) => rssGrowthKib >= MAX_GROWTH_KIB)
      .map(({ name, rssGrowthKib }) => `the memory of ${name} grew by ${rssGrowthKib} KiB`),
    ...daemons
      .filter(({ descriptorGrowth }) => descriptorGrowth > 0)
      .map(({ name, descriptorGrowth }) => `${name} has ${descriptorGrowth} descriptors more`),
  ];
}

/** The result as a sentence and a table in Markdown. */
export function formatMesh(result: MeshResult): string {
  const { minutes, faults, directions, working, settledMs, daemons } = result;
  const mib = (kib: number) => `${(kib / 1024).toFixed(1)} MiB`;
  const rows = daemons.map(({ name, rssKib, rssGrowthKib, descriptors, descriptorGrowth, cpuPercent }) => [
    name,
    mib(rssKib),
    mib(rssGrowthKib),
    `${descriptors}`,
    `${descriptorGrowth}`,
    `${cpuPercent.toFixed(1)} %`,
  ]);
  return `${SITES} sites, every one the peer of every other, ${minutes} minutes, ${faults} faults at random, one every ${
    FAULT_EVERY_MS / 1000
  } s: ${working} of ${directions} directions answered ${(settledMs / 1000).toFixed(0)} s after the last (tried when its 20 s were over).

${formatTable(["daemon", "memory", "grown by", "descriptors", "grown by", "CPU"], rows)}`;
}

function pick<T>(items: readonly T[]): T {
  const item = items[Math.floor(Math.random() * items.length)];
  if (item === undefined) throw new RangeError("Cannot pick one of none");
  return item;
}
