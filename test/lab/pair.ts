/** Two sites with a daemon each that ping each other, ready to have something done to them. */
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../fixtures/path.ts";
import { captureOf, type LabCapture } from "./capture.ts";
import { countEndpointWrites, type Daemon, startDaemon } from "./daemon.ts";
import { type Lab, type LabHost, type LabOptions, openLab, type SiteOptions } from "./lab.ts";
import { type ProbedPair, startProbers } from "./prober.ts";
import { waitFor } from "./wait.ts";

/** How tools/store.sh behaves. */
export type StoreMode = "ok" | "error" | "hang" | "garbage" | "slow" | "empty" | "stale" | "rollback" | "reflected";

export interface PairOptions {
  /** Of both sites. */
  readonly site?: SiteOptions;
  readonly services?: LabOptions["services"];
  readonly protocol?: "ipv4" | "ipv6";
  /** `file` is watched, `shell` is polled. */
  readonly store?: "file" | "shell";
  /** Default: as in MeshConfigOptions. */
  readonly capture?: LabCapture;
  /** Round-trip time between the two hosts, half of it at either uplink. Default: that of this machine. */
  readonly rttMs?: number;
  /** Persistent keepalive that WireGuard has from before the daemons start; default none. */
  readonly keepaliveS?: number;
}

export interface Pair {
  readonly lab: Lab;
  readonly hosts: readonly [LabHost, LabHost];
  /** The daemons started so far, the last of each host. */
  readonly daemons: ReadonlyMap<LabHost, Daemon>;
  startDaemon(host: LabHost): Promise<Daemon>;
  /** Resolves when both sides know where the other is. */
  waitForEndpoints(options: { readonly timeoutMs: number }): Promise<void>;
  /** Probers; started at the first call. */
  probe(): Promise<ProbedPair>;
  stopProbing(): Promise<void>;
  setStore(mode: StoreMode): void;
  /** How often endpoints were written, on both hosts, according to wireguard-go. */
  endpointWrites(): number;
  /** The logs of both daemons, as one text. */
  logs(): string;
  close(): Promise<void>;
}

export async function openPair(options: PairOptions = {}): Promise<Pair> {
  const { site = {}, services = ["stun1"], protocol = "ipv4", store = "file", capture, rttMs, keepaliveS } = options;
  // So that wireguard-go itself says when an endpoint is written.
  process.env.LAB_WG_LOG = "verbose";
  const lab = await openLab({ sites: [site, site], services, ...(keepaliveS !== undefined && { keepaliveS }) });
  // Two uplinks, two directions.
  if (rttMs !== undefined) await Promise.all(["r1", "r2"].map((router) => lab.fault("delay", router, rttMs / 4)));
  const hosts = [lab.host(1), lab.host(2)] as const;
  const daemons = new Map<LabHost, Daemon>();
  const started: Daemon[] = [];
  const storePath = join(lab.directory, "store");
  mkdirSync(storePath, { recursive: true });
  let probing: Promise<ProbedPair> | undefined;

  function configOf(host: LabHost): object {
    const peer = hosts[host === hosts[0] ? 1 : 0];
    const state = join(lab.directory, `state-${host.name}`);
    mkdirSync(state, { recursive: true });
    const script = join(repositoryRoot, "test/lab/tools/store.sh");
    return {
      state_directory: state,
      stun: { addresses: services.flatMap((name) => (name === "probe" ? [] : [lab.stun[name][protocol]])) },
      interfaces: {
        [host.wireguardInterface]: {
          ...captureOf(host, capture),
          protocol,
          peers: {
            [peer.name]: {
              public_key: peer.publicKey,
              plugin: "shared",
              protocol,
              ping: { enabled: true, target: peer.tunnel4, interval: "1s", timeout: "1s" },
            },
          },
        },
      },
      plugins: {
        shared:
          store === "file"
            ? { type: "file", path: storePath }
            : { type: "shell", command: "/bin/sh", args: [script, storePath] },
      },
    };
  }

  async function stopProbing(): Promise<void> {
    const probers = await probing;
    probing = undefined;
    await probers?.stop();
  }

  return {
    lab,
    hosts,
    daemons,
    async startDaemon(host) {
      const daemon = await startDaemon(lab, host, { config: configOf(host) });
      daemons.set(host, daemon);
      started.push(daemon);
      return daemon;
    },
    async waitForEndpoints({ timeoutMs }) {
      const [one, two] = hosts;
      const ends = [
        [one, two],
        [two, one],
      ] as const;
      for (const [from, to] of ends) {
        const what = `an endpoint of ${to.name} on ${from.name}`;
        await waitFor(() => lab.endpoint(from.name, to.name), { what, timeoutMs, everyMs: 50 });
      }
    },
    probe() {
      probing ??= startProbers(lab, hosts);
      return probing;
    },
    stopProbing,
    setStore(mode) {
      if (mode === "stale") {
        const frozen = join(lab.directory, "frozen");
        cpSync(storePath, frozen, { recursive: true });
        cpSync(frozen, join(storePath, "stale"), { recursive: true });
      } else {
        rmSync(join(storePath, "stale"), { recursive: true, force: true });
      }
      writeFileSync(join(storePath, "mode"), `${mode}\n`);
    },
    endpointWrites: () => hosts.reduce((sum, host) => sum + countEndpointWrites(lab, host), 0),
    logs() {
      const lines = started.flatMap(({ host, process }) => process.lines.map((line) => `${host.name} ${line}`));
      const timeOf = (line: string) => /"time":("[^"]*"|\d+)/.exec(line)?.[1] ?? "";
      return lines.toSorted((a, b) => timeOf(a).localeCompare(timeOf(b))).join("\n");
    },
    async close() {
      await stopProbing();
      await lab.close();
    },
  };
}
