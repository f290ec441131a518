/** Facts as the doctor gathers them, of a host that has no trouble; tests replace what is wrong. */
import type { TransportAddress } from "../../src/address.ts";
import type { DeviceFacts, PeerFacts, StoreFacts, StunFacts } from "../../src/doctor/facts.ts";
import { judgeMapping } from "../../src/stun/mapping.ts";
import type { TroubleKind } from "../../src/stun/servers.ts";
import type { WireGuardPeer } from "../../src/wg/types.ts";
import { createPeerConfig, createPeerReading, createReading } from "../fakes/device.ts";
import { at } from "../fakes/stun-world.ts";

export const NOW_MS = Date.UTC(2026, 5, 1, 12);
const nowSeconds = NOW_MS / 1000;

/** The servers of these names, each of which saw us as `mapped` says, or is silent. */
export function surveyOf(seen: Readonly<Record<string, string | undefined>>): StunFacts["survey"] {
  return Object.entries(seen).map(([name, mapped]) =>
    mapped === undefined
      ? { name, answers: [], troubles: [{ kind: "silent", text: "no answer" } as const] }
      : { name, answers: [{ server: at(name), mapped: at(mapped), otherAddress: undefined, rttMs: 12 }], troubles: [] },
  );
}

/** An endpoint-independent NAT with two servers in front of it. */
export function createStun(some: Partial<StunFacts> = {}): StunFacts {
  const survey = surveyOf({ "192.0.2.1:3478": "203.0.113.7:40112", "192.0.2.2:3478": "203.0.113.7:40112" });
  return {
    interface: "wg0",
    family: "ipv4",
    isOnlyFamily: true,
    survey,
    failure: undefined,
    discovery: { serverName: "192.0.2.1:3478", failure: undefined, tookMs: 12, asked: ["192.0.2.1:3478"] },
    otherPort: survey,
    tcpReaches: [],
    heardFrom: undefined,
    observation: observe(some.survey ?? survey),
    portFiltering: "unknown",
    filtering: "address and port-dependent",
    hairpins: false,
    localPort: 51820,
    ...some,
  };
}

function observe(survey: StunFacts["survey"]): StunFacts["observation"] {
  const samples = survey?.flatMap(({ answers }) => answers) ?? [];
  return judgeMapping(samples, { localPort: 51820, localAddresses: ["192.168.1.2"] });
}

/** Servers that see another port each. */
export const symmetric = surveyOf({ "192.0.2.1:3478": "203.0.113.7:40112", "192.0.2.2:3478": "203.0.113.7:40113" });
/** Two servers that gave no answer: why the first did not, and of which kind the trouble of the second is. */
export function troubled(kind: TroubleKind, text: string, other: TroubleKind = "silent"): StunFacts["survey"] {
  return [
    { name: "192.0.2.1:3478", answers: [], troubles: [{ kind, text }] },
    { name: "192.0.2.2:3478", answers: [], troubles: [{ kind: other, text: "no answer" }] },
  ];
}
export const silent = surveyOf({ "192.0.2.1:3478": undefined, "192.0.2.2:3478": undefined });

export interface PeerOptions extends Partial<Omit<PeerFacts, "config">> {
  readonly config?: Partial<PeerFacts["config"]>;
  /** Of the peer on the device. */
  readonly reading?: Partial<WireGuardPeer>;
  /** What the peer has published, 5 s ago. */
  readonly record?: string;
}

/** A peer that published 5 s ago, as this host did, with a daemon here and no handshake yet. */
export function createPeer({
  config: someConfig,
  reading,
  record = "198.51.100.7:41000",
  ...some
}: PeerOptions = {}): PeerFacts {
  const config = createPeerConfig({ name: "office", plugins: ["shared"], ...someConfig });
  const onDevice = createPeerReading(config, reading);
  const written = (address: TransportAddress) => ({ endpoints: { ipv4: address }, sequence: nowSeconds - 5 });
  return {
    interface: "wg0",
    config,
    device: createReading([onDevice]),
    onDevice,
    found: record === "" ? [] : [{ plugin: "shared", record: written(at(record)) }],
    own: [{ plugin: "shared", record: written(at("203.0.113.7:40112")) }],
    unreadable: new Map(),
    usedSequence: nowSeconds - 5,
    servedBy: "process 531",
    nowMs: NOW_MS,
    ...some,
  };
}

/** The interface of these peers. */
export function createDevice(
  peers: readonly PeerFacts[] = [createPeer()],
  some: Partial<DeviceFacts> = {},
): DeviceFacts {
  return {
    config: {
      name: "wg0",
      protocol: "ipv4",
      capture: "auto",
      listenInterfaces: [],
      listenDefaultRoute: false,
      peers: peers.map(({ config }) => config),
    },
    device: createReading(peers.flatMap(({ onDevice }) => onDevice ?? [])),
    failure: undefined,
    servedBy: "process 531",
    tunnelMtu: 1420,
    uplink: { name: "eth0", mtu: 1500 },
    throughTunnel: [],
    isReversePathStrict: false,
    ownAddresses: ["10.99.0.1"],
    pings: new Map(),
    nowMs: NOW_MS,
    ...some,
  };
}

export const goodStore: StoreFacts = { name: "shared", writeMs: 4, readBackMs: 2 };
