/**
 * A visit to one interface: gathers everything about it, without judging anything. What does not depend on something else
 * is gathered at the same time; every wait has a deadline.
 */
import { formatIp, parseIp, type TransportAddress, transportAddress } from "../address.ts";
import type { Clock } from "../clock.ts";
import type { Config, InterfaceConfig, PeerConfig } from "../config/types.ts";
import { withDeadline } from "../deadline.ts";
import { describeError, errorCode, isAbort } from "../errors.ts";
import type { Parts } from "../parts.ts";
import { selectStateDirectory } from "../state/directory.ts";
import type { WireGuardDevice } from "../wg/types.ts";
import type { DeviceFacts, PeerFacts, StunFacts } from "./facts.ts";
import { probe } from "./probe.ts";
import { readNetwork } from "./read-network.ts";
import { readRemembered, readServedBy } from "./read-state.ts";
import { readRecords } from "./read-stores.ts";

const DEVICE_TIMEOUT_MS = 4_000;
const PING_TIMEOUT_MS = 1_500;
const RESOLVE_TIMEOUT_MS = 1_500;

export interface VisitOptions {
  readonly config: Config;
  readonly parts: Parts;
  readonly clock: Clock;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly signal: AbortSignal;
}

type RecordFacts = Pick<PeerFacts, "config" | "found" | "own" | "unreadable" | "usedSequence">;

export interface Visit {
  readonly config: InterfaceConfig;
  readonly device: Promise<DeviceFacts>;
  /** One for each family; none without a device. */
  readonly stun: Promise<readonly StunFacts[]>;
  /** None without a device. */
  readonly records: Promise<readonly RecordFacts[]>;
  /** The same, with what the device said last of all. */
  readonly peers: Promise<readonly PeerFacts[]>;
}

/** Begins to gather everything about one interface. */
export function visit(config: InterfaceConfig, options: VisitOptions): Visit {
  const { parts, clock, signal } = options;
  const { wireguard } = parts.forInterface(config);
  const readDevice = () =>
    withDeadline({ clock, signal, timeoutMs: DEVICE_TIMEOUT_MS, action: `read interface "${config.name}"` }, (inner) =>
      wireguard.readDevice(config.name, inner),
    );
  const state = { directory: stateDirectory(options), interface: config.name };
  const device = lookAtDevice(config, { options, readDevice, state });
  const records = device.then(({ device: found }) => (found ? readAll(config, { options, device: found, state }) : []));
  const stun = device.then(async (facts) => {
    if (!facts.device) return [];
    const found = facts.device;
    const families = config.protocol === "dualstack" ? (["ipv4", "ipv6"] as const) : [config.protocol];
    const heardFrom = async () => findHeard(facts, await readDevice().catch(() => undefined));
    const isTunnelled = facts.throughTunnel.length > 0;
    return Promise.all(
      families.map((family) => probe({ parts, config, device: found, family, clock, signal, isTunnelled, heardFrom })),
    );
  });
  return {
    config,
    device,
    stun,
    records,
    // The device once more and last: a tunnel may have come up meanwhile.
    peers: Promise.all([device, records, stun]).then(async ([{ device: before, servedBy }, read]) => {
      if (!before) return [];
      const now = await readDevice().catch((error: unknown) => {
        if (isAbort(error)) throw error;
        return before;
      });
      return read.map((one): PeerFacts => {
        const onDevice = now.peers.find(({ publicKey }) => Buffer.compare(publicKey, one.config.publicKey) === 0);
        return { interface: config.name, device: before, onDevice, servedBy, nowMs: clock.now(), ...one };
      });
    }),
  };
}

/** What stores and the state directory have about the peers of a device. */
async function readAll(
  config: InterfaceConfig,
  {
    options,
    device,
    state,
  }: { readonly options: VisitOptions; readonly device: WireGuardDevice; readonly state: State },
): Promise<readonly RecordFacts[]> {
  const { parts, clock, signal } = options;
  const { publicKey } = device;
  const before = await readRemembered({ ...state, publicKey });
  const read = await Promise.all(
    config.peers.map((peer) => {
      const marks = before.get(keyText(peer)) ?? {};
      return readRecords({ config: peer, device, stores: parts.stores(), marks, clock, signal });
    }),
  );
  // Once more, because a number is written here before it is in a store.
  const after = await readRemembered({ ...state, publicKey });
  return config.peers.flatMap((peer, index) => {
    const found = read[index];
    return found ? [{ config: peer, usedSequence: after.get(keyText(peer))?.sequence, ...found }] : [];
  });
}

function keyText({ publicKey }: PeerConfig): string {
  return Buffer.from(publicKey).toString("base64");
}

interface State {
  readonly directory: string;
  readonly interface: string;
}

interface LookOptions {
  readonly options: VisitOptions;
  readonly readDevice: () => Promise<WireGuardDevice>;
  readonly state: State;
}

async function lookAtDevice(
  config: InterfaceConfig,
  { options, readDevice, state }: LookOptions,
): Promise<DeviceFacts> {
  const { parts, clock } = options;
  const servedBy = await readServedBy(state);
  const ownAddresses = parts.forInterface(config).hostAddresses().all;
  const base = { config, servedBy, ownAddresses, pings: new Map(), nowMs: clock.now() };
  try {
    const device = await readDevice();
    const servers = await locateServers(config, { options, device });
    const endpoints = device.peers.flatMap(({ endpoint }) => endpoint ?? []);
    const [network, pings] = await Promise.all([
      readNetwork(device.name, [...servers, ...endpoints]),
      pingAll(config, { options, device, ownAddresses }),
    ]);
    return { ...base, device, failure: undefined, ...network, pings };
  } catch (error) {
    if (isAbort(error)) throw error;
    const failure = { message: describeError(error), code: errorCode(error) };
    const unknown = { tunnelMtu: undefined, uplink: undefined, throughTunnel: [], isReversePathStrict: undefined };
    return { ...base, device: undefined, failure, ...unknown };
  }
}

/** As far as they are known soon: whether a name can be looked up is the survey's business. */
async function locateServers(
  config: InterfaceConfig,
  { options, device }: { readonly options: VisitOptions; readonly device: WireGuardDevice },
): Promise<readonly TransportAddress[]> {
  const { parts, clock, signal } = options;
  const family = config.protocol === "ipv6" ? "ipv6" : "ipv4";
  const { resolve, servers } = parts.sessionOf(config, { device, family, signal });
  const located = servers.map(async ({ host, port }) => {
    const action = `resolve "${host}"`;
    const hosts = await withDeadline({ clock, signal, timeoutMs: RESOLVE_TIMEOUT_MS, action }, (inner) =>
      resolve(host, { family, signal: inner }),
    ).catch((error: unknown) => {
      if (isAbort(error)) throw error;
      return [];
    });
    return hosts.flatMap((one) => transportAddress(one, port) ?? []);
  });
  return (await Promise.all(located)).flat();
}

async function pingAll(
  config: InterfaceConfig,
  {
    options,
    device,
    ownAddresses,
  }: {
    readonly options: VisitOptions;
    readonly device: WireGuardDevice;
    readonly ownAddresses: readonly string[];
  },
): Promise<ReadonlyMap<string, number | undefined>> {
  const { parts, signal } = options;
  const pinged = config.peers.map(async ({ name, ping }) => {
    const ip = ping && parseIp(ping.target);
    // This host would answer itself.
    if (!ip || ownAddresses.includes(formatIp(ip))) return [];
    const family = ip.length === 4 ? "ipv4" : "ipv6";
    try {
      const pinger = await parts.platform.openPinger({ family, interface: device.name, fib: config.fib });
      try {
        const rttMs = await pinger.ping(ping.target, { timeoutMs: PING_TIMEOUT_MS, signal });
        return [[name, rttMs] as const];
      } finally {
        await pinger.close();
      }
    } catch (error) {
      if (isAbort(error)) throw error;
      // Not sent: no route into the tunnel, or no right to, of which other checks tell.
      return [[name, undefined] as const];
    }
  });
  return new Map((await Promise.all(pinged)).flat());
}

/** A peer that WireGuard got something from between the two looks. */
function findHeard({ config, device, pings }: DeviceFacts, now: WireGuardDevice | undefined): string | undefined {
  return config.peers.find(({ name, publicKey }) => {
    const bytes = (one: WireGuardDevice | undefined) =>
      one?.peers.find((peer) => Buffer.compare(peer.publicKey, publicKey) === 0)?.receivedBytes ?? 0;
    return pings.get(name) !== undefined || bytes(now) > bytes(device);
  })?.name;
}

function stateDirectory({ config, environment, parts }: VisitOptions): string {
  return selectStateDirectory({ configured: config.stateDirectory, environment, platform: parts.platform.name });
}
