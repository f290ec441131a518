/**
 * The demonstration: two sites behind port-restricted NATs, WireGuard without endpoints, and one stunmesh-ts at each,
 * which find each other through a shared folder. Prints what happens as it happens, and ends when pings go both ways.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { captureOf } from "./capture.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import type { LabProcess } from "./process.ts";
import { waitFor } from "./wait.ts";

export interface DemoOptions {
  /** The built daemon. */
  readonly program: string;
  /** Print only how it ended. */
  readonly quiet: boolean;
  /** Aborted = clean up and return. */
  readonly signal: AbortSignal;
}

const PICTURE = `
  Two WireGuard hosts, each behind its own NAT. A NAT gives the host's port another number and lets nobody in
  whom the host has not sent to before, so neither side can be reached and neither knows its own address.

     site 1                                                                    site 2
  +-----------+     +--------------+                   +--------------+     +-----------+
  | WireGuard |     | NAT          |                   |          NAT |     | WireGuard |
  | 10.99.0.1 |-----| 203.0.113.10 |----( internet )---| 203.0.113.18 |-----| 10.99.0.2 |
  | daemon    |     +--------------+         |         +--------------+     |    daemon |
  +-----------+                              |                              +-----------+
                                   STUN server 198.51.100.10

  The daemons share a folder, where each leaves its address sealed for the other. No endpoint, no keepalive
  and no port forwarding is configured.
`;

/** What each site goes through; a failure names the first that is missing. */
const STEPS = ["discovered", "published", "fetched", "handshake", "ping"] as const;
/** One side writes the other's endpoint; that one learns it from WireGuard, and opens its NAT. */
type Step = (typeof STEPS)[number] | "endpoint set" | "opened";

interface Site {
  readonly host: LabHost;
  readonly peer: LabHost;
  readonly seen: Set<Step>;
  daemon?: LabProcess;
}

/** True when the tunnel worked. Nothing of it is left, however it ends. */
export async function showTwoSites({ program, quiet, signal }: DemoOptions): Promise<boolean> {
  const started = performance.now();
  const elapsed = () => `${((performance.now() - started) / 1000).toFixed(2).padStart(6)} s`;
  const say = (text: string) => {
    if (!quiet) console.log(text);
  };
  const tell = (who: string, text: string) => say(`${elapsed()}  ${who.padEnd(8)}${text}`);

  say(PICTURE);
  let lab: Lab | undefined;
  let sites: readonly Site[] = [];
  try {
    lab = await openLab({ sites: [{ nat: "port" }, { nat: "port" }] });
    const [one, two] = [lab.host(1), lab.host(2)];
    sites = [
      { host: one, peer: two, seen: new Set() },
      { host: two, peer: one, seen: new Set() },
    ];
    tell("", "the network is up: two hosts, two NATs, one STUN server");
    // Not tried with a ping: WireGuard would wait 5 s before the next attempt of a handshake.
    const endpoints = await Promise.all([lab.endpoint("h1", "h2"), lab.endpoint("h2", "h1")]);
    if (endpoints.some((endpoint) => endpoint !== undefined)) throw new Error("WireGuard knows an endpoint already");
    tell("", "WireGuard is up on both hosts, and neither knows where its peer is");

    const daemonsStarted = performance.now();
    for (const site of sites) await startDaemon(lab, { site, program, tell });
    await Promise.all(sites.map((site) => watchTunnel(lab as Lab, { site, tell, signal })));
    const seconds = ((performance.now() - daemonsStarted) / 1000).toFixed(1);
    await stopDaemons(sites);
    await lab.close();
    say("");
    console.log(`The tunnel works both ways, ${seconds} s after the daemons started (${elapsed().trim()} in all).`);
    return true;
  } catch (error) {
    if (!signal.aborted) explain(error, sites);
    return false;
  } finally {
    await lab?.close();
  }
}

type Tell = (who: string, text: string) => void;

async function startDaemon(lab: Lab, { site, program, tell }: { site: Site; program: string; tell: Tell }) {
  const { host, peer, seen } = site;
  const store = join(lab.directory, "store");
  const config = join(lab.directory, `site${host.site}.yaml`);
  mkdirSync(store, { recursive: true });
  // JSON is YAML, and needs no thought about quoting.
  writeFileSync(
    config,
    JSON.stringify({
      refresh_interval: "10s",
      state_directory: join(lab.directory, "state"),
      control: { socket: join(lab.directory, `site${host.site}.sock`) },
      stun: { addresses: [lab.stun.stun1.ipv4] },
      interfaces: {
        [host.wireguardInterface]: {
          ...captureOf(host, undefined),
          protocol: "ipv4",
          peers: { [`site${peer.site}`]: { public_key: peer.publicKey, plugin: "shared", protocol: "ipv4" } },
        },
      },
      plugins: { shared: { type: "file", path: store } },
    }),
    { mode: 0o600 },
  );
  const argv = ["run", "--config", config, "--log-format", "json", "--log-level", "debug"];
  const daemon = await lab.spawn(host.name, [process.execPath, program, ...argv], {
    logFile: join(lab.directory, "log", `daemon${host.site}.log`),
  });
  site.daemon = daemon;
  tell(`site ${host.site}`, "daemon started");
  daemon.onLine((line) => {
    const event = parseEvent(line);
    const step = event && stepOf(event, `site ${peer.site}`);
    if (!step || seen.has(step.name)) return;
    seen.add(step.name);
    tell(`site ${host.site}`, step.text);
  });
}

/** Sees to it that the tunnel works, with WireGuard's own figures and with pings, not with what the daemon says. */
async function watchTunnel(lab: Lab, { site, tell, signal }: { site: Site; tell: Tell; signal: AbortSignal }) {
  const { host, peer, seen, daemon } = site;
  const who = `site ${host.site}`;
  const stillRuns = daemon?.exited.then(({ code, signal: by }) => {
    if (!seen.has("ping")) throw new Error(`${who}: the daemon ended with ${by ?? `status ${code}`}`);
  });
  async function watch() {
    await waitFor(() => lab.latestHandshake(host.name, peer.name), {
      what: `a WireGuard handshake of ${who}`,
      everyMs: 50,
      signal,
    });
    seen.add("handshake");
    tell(who, `handshake with site ${peer.site}`);
    const { rttMs } = await waitFor(
      async () => {
        const result = await lab.ping(host.name, peer.tunnel4, { count: 3, signal });
        return result.received === result.sent && result;
      },
      { what: `three answered pings of ${who}`, signal },
    );
    seen.add("ping");
    tell(who, `ping ${peer.tunnel4} through the tunnel: ${rttMs.map((ms) => `${ms} ms`).join(", ")}`);
  }
  await Promise.race([watch(), stillRuns]);
}

interface DaemonEvent {
  readonly msg: string;
  readonly ipv4?: string;
  readonly server?: string;
  readonly ms?: number;
  readonly endpoint?: string;
}

function parseEvent(line: string): DaemonEvent | undefined {
  try {
    return JSON.parse(line);
  } catch {
    // Not a log line: a warning of Node's, say. It is in the log file.
    return undefined;
  }
}

function stepOf(event: DaemonEvent, peer: string): { name: Step; text: string } | undefined {
  const { msg, ipv4, server, ms = 0, endpoint } = event;
  switch (msg) {
    case "discovered IPv4 endpoint":
      return { name: "discovered", text: `discovered ${ipv4}, asking ${server} (${ms.toFixed(1)} ms)` };
    case "endpoint published":
      return { name: "published", text: `published for ${peer}` };
    case "record fetched":
      return { name: "fetched", text: `fetched ${ipv4}, the address of ${peer}` };
    case "opening the nat for a peer":
      return { name: "opened", text: `opens its NAT for ${endpoint}, the address of ${peer}` };
    case "endpoint set":
      return { name: "endpoint set", text: `endpoint of ${peer} set to ${endpoint}` };
    default:
      return undefined;
  }
}

async function stopDaemons(sites: readonly Site[]) {
  const exits = await Promise.all(sites.map(({ daemon }) => daemon?.stop()));
  const wrong = exits.find((exit) => exit?.code !== 0);
  if (wrong) throw new Error(`A daemon ended with ${wrong.signal ?? `status ${wrong.code}`} when it was told to stop`);
}

function explain(error: unknown, sites: readonly Site[]) {
  console.error(`\nThe demonstration failed: ${error instanceof Error ? error.message : String(error)}`);
  for (const { host, seen, daemon } of sites) {
    const missing = STEPS.filter((step) => !seen.has(step));
    console.error(`\nsite ${host.site}: not seen: ${missing.join(", ") || "nothing"}; last lines of its daemon:`);
    for (const line of daemon?.lines.slice(-20) ?? []) console.error(`    ${line}`);
  }
}
