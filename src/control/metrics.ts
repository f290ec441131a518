/**
 * What the daemon knows, as metrics for Prometheus. Pure.
 *
 * One table: each row is a metric and how its samples are read from the status. A value that is not known has no sample,
 * so that "never" is not taken for 1970 or 0. Names, units and `_total` follow Prometheus' "Metric and label naming"; the
 * `process_` metrics are those of its client libraries.
 */
import type { DaemonStatus, PeerStateName } from "../status.ts";
import {
  ofDaemon,
  ofFamily,
  ofInterface,
  ofPeer,
  ofStore,
  type ProcessUsage,
  peerSamples,
  type Row,
  samplesOf,
  secondsOf,
} from "./metric-row.ts";
import { formatPrometheusText } from "./prometheus-text.ts";

const peerStates: readonly PeerStateName[] = ["reachable", "receiving", "unreachable", "missing", "waiting"];

/** Every metric there is, in the order of the output. */
export const metricRows: readonly Row[] = [
  ofDaemon("stunmesh_info", "gauge", {
    help: "Always 1; the label is the version of the program",
    labels: ["version"],
    read: ({ version }) => [{ labels: { version }, value: 1 }],
  }),
  ofDaemon("stunmesh_config_loaded_timestamp_seconds", "gauge", {
    help: "When the configuration in use was read",
    read: ({ config }) => samplesOf([[{}, secondsOf(config.loadedAt)]]),
  }),
  ofDaemon("stunmesh_config_last_reload_successful", "gauge", {
    help: "0 after a configuration that was refused, else 1",
    read: ({ config }) => samplesOf([[{}, config.error === undefined]]),
  }),

  ofInterface("stunmesh_interface_up", "gauge", {
    help: "1 if there is a usable WireGuard device, else 0",
    value: ({ state }) => state === "ready",
  }),
  ofInterface("stunmesh_interface_discoveries_total", "counter", {
    help: "Discoveries of the own address by STUN, failed ones too",
    value: ({ counters }) => counters.discoveries,
  }),
  ofInterface("stunmesh_interface_discovery_failures_total", "counter", {
    help: "Discoveries that failed",
    value: ({ counters }) => counters.discoveryFailures,
  }),
  ofInterface("stunmesh_interface_discovery_failing", "gauge", {
    help: "1 if the last discovery failed, else 0",
    value: ({ discoveryError }) => discoveryError !== undefined,
  }),
  ofFamily("stunmesh_interface_discovery_rtt_seconds", "gauge", {
    help: "Round-trip time to the STUN server that answered last",
    value: ({ rttMs }) => rttMs / 1000,
  }),
  ofFamily("stunmesh_interface_discovered_timestamp_seconds", "gauge", {
    help: "When the own address was discovered last",
    value: ({ discoveredAt }) => secondsOf(discoveredAt),
  }),
  ofDaemon("stunmesh_interface_mapping_info", "gauge", {
    help: "Always 1; the labels say what the NAT does (RFC 4787) and the scope of the mapped address",
    labels: ["interface", "family", "behavior", "scope", "preserves_port"],
    read: ({ interfaces }) =>
      interfaces.flatMap(({ name, mapping }) => {
        if (!mapping) return [];
        const { family, behavior, scope = "", preservesPort } = mapping;
        const labels = { interface: name, family, behavior, scope, preserves_port: String(preservesPort ?? "") };
        return [{ labels, value: 1 }];
      }),
  }),

  ofPeer("stunmesh_peer_up", "gauge", {
    help: "1 if the tunnel to the peer works, else 0",
    value: ({ state }) => state === "reachable",
  }),
  ofDaemon("stunmesh_peer_state", "gauge", {
    help: "1 for the state the peer is in, 0 for the others",
    labels: ["interface", "peer", "state"],
    read: ({ interfaces }) =>
      peerSamples(interfaces, (peer) => peerStates.map((state) => [{ state }, state === peer.state])),
  }),
  ofPeer("stunmesh_peer_state_since_timestamp_seconds", "gauge", {
    help: "Since when the peer is in its state",
    value: ({ since }) => secondsOf(since),
  }),
  ofDaemon("stunmesh_peer_endpoint_info", "gauge", {
    help: "Always 1; the labels say where WireGuard sends the packets of the peer, and who told it",
    labels: ["interface", "peer", "endpoint", "from"],
    read: ({ interfaces }) =>
      peerSamples(interfaces, ({ endpoint, endpointFrom = "" }) =>
        endpoint === undefined ? [] : [[{ endpoint, from: endpointFrom }, 1]],
      ),
  }),
  ofPeer("stunmesh_peer_latest_handshake_timestamp_seconds", "gauge", {
    help: "When WireGuard made the latest handshake with the peer",
    value: ({ latestHandshakeAt }) => secondsOf(latestHandshakeAt),
  }),
  ofPeer("stunmesh_peer_received_bytes_total", "counter", {
    help: "Bytes received from the peer, as WireGuard counts them",
    value: ({ receivedBytes }) => receivedBytes,
  }),
  ofPeer("stunmesh_peer_sent_bytes_total", "counter", {
    help: "Bytes sent to the peer, as WireGuard counts them",
    value: ({ sentBytes }) => sentBytes,
  }),
  ofPeer("stunmesh_peer_ping_up", "gauge", {
    help: "1 if the ping target of the peer answers, 0 if not",
    value: ({ ping }) => (ping && ping.verdict !== "unknown" ? ping.verdict === "up" : undefined),
  }),
  ofPeer("stunmesh_peer_ping_rtt_seconds", "gauge", {
    help: "Round-trip time of the last ping that was answered",
    value: ({ ping }) => (ping?.rttMs === undefined ? undefined : ping.rttMs / 1000),
  }),
  ofPeer("stunmesh_peer_ping_loss_ratio", "gauge", {
    help: "Share of the last 60 pings that were lost, 0 to 1",
    value: ({ ping }) => ping?.loss,
  }),
  ofPeer("stunmesh_peer_endpoint_writes_total", "counter", {
    help: "Times WireGuard was told another endpoint of the peer",
    value: ({ counters }) => counters.endpointWrites,
  }),
  ofPeer("stunmesh_peer_downs_total", "counter", {
    help: "Times the tunnel to the peer was found dead",
    value: ({ counters }) => counters.downs,
  }),
  ofPeer("stunmesh_peer_publishes_total", "counter", {
    help: "Records for the peer written to stores, failed writes too",
    value: ({ counters }) => counters.publishes,
  }),
  ofPeer("stunmesh_peer_publish_failures_total", "counter", {
    help: "Records for the peer that could not be written",
    value: ({ counters }) => counters.publishFailures,
  }),
  ofDaemon("stunmesh_peer_published_timestamp_seconds", "gauge", {
    help: "When the record for the peer was last written to the store",
    labels: ["interface", "peer", "plugin"],
    read: ({ interfaces }) =>
      peerSamples(interfaces, ({ published }) => published.map(({ plugin, at }) => [{ plugin }, secondsOf(at)])),
  }),
  ofPeer("stunmesh_peer_fetches_total", "counter", {
    help: "Times the record of the peer was looked up in stores, failed ones too",
    value: ({ counters }) => counters.fetches,
  }),
  ofPeer("stunmesh_peer_fetch_failures_total", "counter", {
    help: "Times the record of the peer could not be looked up",
    value: ({ counters }) => counters.fetchFailures,
  }),
  ofPeer("stunmesh_peer_fetched_timestamp_seconds", "gauge", {
    help: "When the record of the peer was last looked up",
    value: ({ fetch }) => secondsOf(fetch?.at),
  }),
  ofPeer("stunmesh_peer_next_turn_timestamp_seconds", "gauge", {
    help: "When the peer has its next turn; missing while it has one",
    value: ({ next }) => secondsOf(next?.at),
  }),

  ofStore("stunmesh_store_calls_total", "counter", {
    help: "Calls to the store, failed ones too",
    value: ({ calls }) => calls,
  }),
  ofStore("stunmesh_store_failures_total", "counter", {
    help: "Calls to the store that failed",
    value: ({ failures }) => failures,
  }),
  ofStore("stunmesh_store_call_seconds_total", "counter", {
    help: "Time all calls to the store took together",
    value: ({ seconds }) => seconds,
  }),

  ofDaemon("process_cpu_seconds_total", "counter", {
    help: "User and system time the process used",
    read: (_, { cpuSeconds }) => samplesOf([[{}, cpuSeconds]]),
  }),
  ofDaemon("process_resident_memory_bytes", "gauge", {
    help: "Memory of the process that is in use",
    read: (_, { residentBytes }) => samplesOf([[{}, residentBytes]]),
  }),
  ofDaemon("process_open_fds", "gauge", {
    help: "Files, sockets and the like the process has open",
    read: (_, { openFiles }) => samplesOf([[{}, openFiles]]),
  }),
  ofDaemon("process_start_time_seconds", "gauge", {
    help: "When the process started",
    read: (_, { startedAtSeconds }) => samplesOf([[{}, startedAtSeconds]]),
  }),
];

/** All metrics as text. */
export function formatMetrics(status: DaemonStatus, process: ProcessUsage): string {
  return formatPrometheusText(metricRows.map((row) => ({ ...row, samples: row.read(status, process) })));
}
