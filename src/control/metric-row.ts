/** How a metric is read from the status: what the rows of the table in metrics.ts are made with. Pure. */
import type { DaemonStatus, InterfaceStatus, MappedStatus, PeerStatus, StoreStatus } from "../status.ts";
import type { Metric, Sample } from "./prometheus-text.ts";

/** What the process itself uses; what a system does not tell is left out. */
export interface ProcessUsage {
  readonly residentBytes: number;
  /** User and system time. */
  readonly cpuSeconds: number;
  readonly openFiles?: number | undefined;
  /** Seconds since 1970. */
  readonly startedAtSeconds: number;
}

/** undefined = no sample. */
type Value = number | boolean | undefined;

export interface Row extends Omit<Metric, "samples"> {
  /** Names of the labels every sample has, for the documentation. */
  readonly labels: readonly string[];
  read(status: DaemonStatus, process: ProcessUsage): readonly Sample[];
}

type Labels = Readonly<Record<string, string>>;
type MetricType = Metric["type"];

/** Samples of values, without those that are not known. */
export function samplesOf(values: readonly (readonly [labels: Labels, value: Value])[]): readonly Sample[] {
  return values.flatMap(([labels, value]) => (value === undefined ? [] : [{ labels, value: Number(value) }]));
}

/** Samples of every peer; its labels come first. */
export function peerSamples(
  interfaces: readonly InterfaceStatus[],
  read: (peer: PeerStatus) => readonly (readonly [labels: Labels, value: Value])[],
): readonly Sample[] {
  return interfaces.flatMap(({ name, peers }) =>
    peers.flatMap((peer) =>
      samplesOf(read(peer).map(([labels, value]) => [{ interface: name, peer: peer.name, ...labels }, value])),
    ),
  );
}

/** A metric with samples and labels of its own. */
export function ofDaemon(
  name: string,
  type: MetricType,
  { help, labels = [], read }: Pick<Row, "help" | "read"> & { readonly labels?: readonly string[] },
): Row {
  return { name, type, help, labels, read };
}

interface OfOne<Subject> {
  readonly help: string;
  value(subject: Subject): Value;
}

/** One sample for each interface. */
export function ofInterface(name: string, type: MetricType, { help, value }: OfOne<InterfaceStatus>): Row {
  const read: Row["read"] = ({ interfaces }) =>
    samplesOf(interfaces.map((one) => [{ interface: one.name }, value(one)]));
  return { name, type, help, labels: ["interface"], read };
}

/** One sample for each family of which an interface knows its mapped address. */
export function ofFamily(name: string, type: MetricType, { help, value }: OfOne<MappedStatus>): Row {
  const read: Row["read"] = ({ interfaces }) =>
    interfaces.flatMap(({ name, own }) =>
      (["ipv4", "ipv6"] as const).flatMap((family) => {
        const mapped = own[family];
        return mapped ? samplesOf([[{ interface: name, family }, value(mapped)]]) : [];
      }),
    );
  return { name, type, help, labels: ["interface", "family"], read };
}

/** One sample for each peer. */
export function ofPeer(name: string, type: MetricType, { help, value }: OfOne<PeerStatus>): Row {
  const read: Row["read"] = ({ interfaces }) => peerSamples(interfaces, (peer) => [[{}, value(peer)]]);
  return { name, type, help, labels: ["interface", "peer"], read };
}

/** One sample for each store. */
export function ofStore(name: string, type: MetricType, { help, value }: OfOne<StoreStatus>): Row {
  const read: Row["read"] = ({ stores }) =>
    samplesOf(stores.map((store) => [{ plugin: store.name, type: store.type }, value(store)]));
  return { name, type, help, labels: ["plugin", "type"], read };
}

/** Seconds since 1970 of an ISO 8601 time. */
export function secondsOf(time: string | undefined): number | undefined {
  const ms = time === undefined ? Number.NaN : Date.parse(time);
  return Number.isNaN(ms) ? undefined : ms / 1000;
}
