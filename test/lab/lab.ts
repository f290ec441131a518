/**
 * A laboratory of NATs for tests: sites with routers and hosts in network namespaces, WireGuard on the hosts, STUN
 * servers in the middle, and everything that can go wrong on the way. Drives lab.sh, which describes the network.
 *
 * Linux and root. A lab is gone after close(), and also when this process ends in any other way: a guard process holds
 * the other end of a pipe and takes the lab down when it breaks.
 */
import { endGuard, labScript, removeAbandonedLabs, startGuard, uniqueName } from "./guard.ts";
import {
  type CommandOptions,
  type LabProcess,
  readCommand,
  runCommand,
  type SpawnOptions,
  spawnProcess,
} from "./process.ts";
import { PATIENCE_MS } from "./wait.ts";

export type NatKind = "fullcone" | "addr" | "port" | "symm" | "portkeep" | "static" | "block" | "direct";
export type Service = "stun1" | "stun2" | "stund" | "probe";
type Carrier = "cg1" | "cg2";

/** What each kind means: shell/nat.sh and shell/site.sh. */
export interface SiteOptions {
  /** Default "port": endpoint-independent mapping, address and port-dependent filtering. */
  readonly nat?: NatKind;
  /** Default "fw": a stateful firewall without NAT. */
  readonly v6?: "fw" | "open" | "nat66" | "none";
  readonly wans?: 1 | 2;
  /** Behind a carrier's NAT as well. */
  readonly via?: Carrier;
  readonly hairpin?: boolean;
}

export interface LabOptions {
  /** At most 8 of a-z and 0-9; default one that no other process has. */
  readonly name?: string;
  readonly sites: readonly SiteOptions[];
  /** Default stun1. */
  readonly services?: readonly Service[];
  /** Default true: WireGuard on every host, everyone everyone's peer without endpoints. */
  readonly wireguard?: boolean;
  /** Persistent keepalive of all peers; default none. */
  readonly keepaliveS?: number;
  /** Carriers that are not as sites are by default. */
  readonly carriers?: Readonly<Partial<Record<Carrier, { readonly nat?: NatKind; readonly hairpin?: boolean }>>>;
}

export interface LabHost {
  /** h1, h2, ...; site N has the host hN and the router rN. */
  readonly name: string;
  readonly site: number;
  readonly nat: NatKind;
  readonly namespace: string;
  readonly wireguardInterface: string;
  /** Addresses inside the tunnel. */
  readonly tunnel4: string;
  readonly tunnel6: string;
  /** Base64. */
  readonly publicKey: string;
}

/** What a NAT has made of a flow; all "address:port", IPv6 in brackets. */
export interface Mapping {
  readonly inner: string;
  readonly outer: string;
  readonly remote: string;
}

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  readonly rttMs: readonly number[];
}

/** Commands of lab.sh that change a running lab (`lab.sh help`). */
export type Fault =
  | "rebind"
  | "nat"
  | "wan_addr"
  | "renumber6"
  | "uplink"
  | "wan_switch"
  | "loss"
  | "delay"
  | "blackhole"
  | "udp_block"
  | "p2p_block"
  | "stun_block"
  | "stun_stop"
  | "stun_start"
  | "stund_mode"
  | "wg_stop"
  | "wg_start";

export interface Lab {
  readonly name: string;
  /** For files that shall go with the lab; `log/` in it has the output of its servers. */
  readonly directory: string;
  readonly hosts: readonly LabHost[];
  readonly stun: typeof stunServers;
  /** The host of a site (1, 2, ...). */
  host(site: number): LabHost;
  /** Runs a command on a node (h1, r1, cg1, srv, inet) and gives its standard output. Throws when it fails. */
  exec(node: string, argv: readonly string[], options?: CommandOptions): Promise<string>;
  /** Starts a process on a node. It ends with the lab at the latest. */
  spawn(node: string, argv: readonly string[], options?: SpawnOptions): Promise<LabProcess>;
  /** Pings from a node; no answer is no error. `timeoutMs` (default 1 s) is for the last answer. */
  ping(
    node: string,
    target: string,
    options?: { readonly count?: number; readonly timeoutMs?: number; readonly signal?: AbortSignal },
  ): Promise<PingResult>;
  /** Pings from a node twice a second until there is an answer. Throws when none comes. */
  waitForAnswer(node: string, target: string): Promise<void>;
  /** Runs wg(8) on a host. */
  wg(host: string, args: readonly string[]): Promise<string>;
  /** When `host` had its last handshake with `peer` (default: with anyone), seconds since 1970; undefined = never. */
  latestHandshake(host: string, peer?: string): Promise<number | undefined>;
  /** The endpoint WireGuard of `host` has for `peer`, or undefined. */
  endpoint(host: string, peer: string): Promise<string | undefined>;
  setEndpoint(host: string, options: { readonly peer: string; readonly endpoint: string }): Promise<void>;
  /** UDP mappings of a router or carrier at this moment. */
  mappings(node: string, options?: { readonly family?: "ipv4" | "ipv6" }): Promise<readonly Mapping[]>;
  fault(name: Fault, ...args: readonly (string | number)[]): Promise<void>;
  close(): Promise<void>;
}

/** Where each STUN server answers. `other` is the second address and port of RFC 5780. */
export const stunServers = {
  stun1: {
    ipv4: "198.51.100.10:3478",
    ipv6: "[2001:db8:5::10]:3478",
    other4: "198.51.100.11:3479",
    other6: "[2001:db8:5::11]:3479",
  },
  stun2: { ipv4: "198.51.100.20:3478", ipv6: "[2001:db8:5::20]:3478" },
  stund: { ipv4: "198.51.100.30:3478", ipv6: "[2001:db8:5::30]:3478" },
  /** Nobody has this address. */
  dead: { ipv4: "198.51.100.99:3478", ipv6: "[2001:db8:5::99]:3478" },
} as const;

/** Builds a lab (0.3 s for two sites). Throws with what lab.sh said when that fails; nothing is left then. */
export async function openLab(options: LabOptions): Promise<Lab> {
  const { name = uniqueName(), sites, services = ["stun1"], wireguard = true, keepaliveS, carriers = {} } = options;
  await removeAbandonedLabs();
  const env = { LAB: name, LAB_OWNER_PID: String(process.pid) };
  const guard = startGuard(env);
  const labCommand = (...args: readonly (string | number)[]) =>
    readCommand(["bash", labScript(), ...args.map(String)], { env });
  let described: { readonly directory: string; readonly hosts: readonly LabHost[] };
  try {
    described = JSON.parse(
      await labCommand(
        "up",
        `services=${services.join(",")}`,
        `wg=${wireguard ? 1 : 0}`,
        ...(keepaliveS === undefined ? [] : [`keepalive=${keepaliveS}`]),
        ...Object.entries(carriers).map(([carrier, site]) => `${carrier}=${siteWords(site, ",")}`),
        ...sites.map((site) => siteWords({ nat: "port", ...site }, " ")),
      ),
    );
  } catch (error) {
    await endGuard(guard);
    throw error;
  }
  const { directory, hosts } = described;

  const inNode = (node: string, argv: readonly string[]) => ["nsenter", `--net=/run/netns/${name}-${node}`, ...argv];
  const findHost = (wanted: string) => {
    const host = hosts.find((candidate) => candidate.name === wanted);
    if (!host) throw new Error(`Cannot find the host "${wanted}": there are ${hosts.map((h) => h.name).join(", ")}`);
    return host;
  };
  const wg = (host: string, args: readonly string[]) => readCommand(inNode(host, ["wg", ...args]));
  /** The second column of `wg show INTERFACE WHAT`, by public key. */
  async function showPeers(host: string, what: "latest-handshakes" | "endpoints") {
    const table = await wg(host, ["show", findHost(host).wireguardInterface, what]);
    return new Map(tableRows(table).map(([key = "", value = ""]) => [key, value]));
  }

  return {
    name,
    directory,
    hosts,
    stun: stunServers,
    host: (site) => findHost(`h${site}`),
    exec: (node, argv, commandOptions) => readCommand(inNode(node, argv), commandOptions),
    spawn: (node, argv, spawnOptions) => spawnProcess(inNode(node, argv), spawnOptions),
    async ping(node, target, { count = 1, timeoutMs = 1000, signal } = {}) {
      const argv = ["ping", "-n", "-c", `${count}`, "-i", "0.05", "-W", `${timeoutMs / 1000}`, target];
      const { stdout } = await runCommand(inNode(node, argv), {
        timeoutMs: timeoutMs + PATIENCE_MS,
        ...(signal ? { signal } : {}),
      });
      const rttMs = [...stdout.matchAll(/ time=([\d.]+) ms/g)].map(([, time]) => Number(time));
      return { sent: count, received: rttMs.length, rttMs };
    },
    async waitForAnswer(node, target) {
      const seconds = PATIENCE_MS / 1000;
      const argv = ["ping", "-n", "-c", "1", "-i", "0.5", "-w", `${seconds}`, target];
      const { code, stdout } = await runCommand(inNode(node, argv), { timeoutMs: 2 * PATIENCE_MS });
      if (code !== 0) throw new Error(`No answer from ${target} to ${node} within ${seconds} s: ${stdout.trim()}`);
    },
    wg,
    async latestHandshake(host, peer) {
      const times = await showPeers(host, "latest-handshakes");
      const seconds = peer ? times.get(findHost(peer).publicKey) : Math.max(...[...times.values()].map(Number));
      return Number(seconds) > 0 ? Number(seconds) : undefined;
    },
    async endpoint(host, peer) {
      const endpoint = (await showPeers(host, "endpoints")).get(findHost(peer).publicKey);
      return endpoint === "(none)" ? undefined : endpoint;
    },
    async setEndpoint(host, { peer, endpoint }) {
      const { wireguardInterface } = findHost(host);
      await wg(host, ["set", wireguardInterface, "peer", findHost(peer).publicKey, "endpoint", endpoint]);
    },
    async mappings(node, { family = "ipv4" } = {}) {
      return parseConntrack(await readCommand(inNode(node, ["conntrack", "-L", "-p", "udp", "-f", family])));
    },
    async fault(fault, ...args) {
      await labCommand(fault, ...args);
    },
    close: () => endGuard(guard),
  };
}

/** `conntrack -L`: the flow as it began, then the flow of its answers; the NAT is where the two differ. */
function parseConntrack(text: string): readonly Mapping[] {
  const flow = /src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)/g;
  return text.split("\n").flatMap((line) => {
    const [original, reply] = [...line.matchAll(flow)];
    if (!original || !reply) return [];
    return {
      inner: joinAddress(original[1]!, original[3]!),
      outer: joinAddress(reply[2]!, reply[4]!),
      remote: joinAddress(original[2]!, original[4]!),
    };
  });
}

function joinAddress(address: string, port: string): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function tableRows(text: string): readonly (readonly string[])[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split("\t"));
}

function siteWords(site: SiteOptions, separator: string): string {
  return Object.entries(site)
    .map(([key, value]) => `${key}=${typeof value === "boolean" ? Number(value) : value}`)
    .join(separator);
}
