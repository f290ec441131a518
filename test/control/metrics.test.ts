import assert from "node:assert/strict";
import { test } from "node:test";
import { formatMetrics, metricRows } from "../../src/control/metrics.ts";
import { parsePrometheusText } from "./prometheus-parser.ts";
import { emptyStatus, fullStatus, usage } from "./statuses.ts";

const full = parsePrometheusText(formatMetrics(fullStatus, usage));
const empty = parsePrometheusText(formatMetrics(emptyStatus, { ...usage, openFiles: undefined }));
const office = { interface: "wg0", peer: 'the "office"\\ of B\u00e4r\n' };
const bare = { interface: "wg0", peer: "bare" };

function valuesOf(metrics: typeof full, name: string): readonly (readonly [labels: object, value: number])[] {
  return (metrics.get(name)?.samples ?? []).map(({ labels, value }) => [labels, value]);
}

test("formatMetrics() writes every metric of the table, in its order and with its labels, when everything is known", () => {
  assert.deepEqual(
    [...full.keys()],
    metricRows.map(({ name }) => name),
  );
  for (const { name, labels } of metricRows) {
    for (const sample of full.get(name)?.samples ?? []) assert.deepEqual(Object.keys(sample.labels), labels, name);
  }
});

test("formatMetrics() keeps names as they are, whatever characters they have", () => {
  assert.deepEqual(valuesOf(full, "stunmesh_peer_up"), [
    [office, 1],
    [bare, 0],
  ]);
});

test("formatMetrics() uses seconds and bytes", () => {
  assert.deepEqual(valuesOf(full, "stunmesh_interface_discovery_rtt_seconds"), [
    [{ interface: "wg0", family: "ipv4" }, 0.0125],
  ]);
  assert.deepEqual(valuesOf(full, "stunmesh_peer_ping_rtt_seconds"), [[office, 0.0015]]);
  assert.deepEqual(valuesOf(full, "stunmesh_peer_received_bytes_total"), [[office, 12_345_678_901]]);
  const at = Date.UTC(2026, 10, 1, 0, 2) / 1000 + 0.25;
  assert.deepEqual(valuesOf(full, "stunmesh_peer_latest_handshake_timestamp_seconds"), [[office, at]]);
  assert.deepEqual(valuesOf(full, "stunmesh_store_call_seconds_total"), [[{ plugin: "folder", type: "file" }, 0.25]]);
});

test("formatMetrics() has one sample for each state of a peer, and one of them is 1", () => {
  const states = valuesOf(full, "stunmesh_peer_state").filter(([, value]) => value === 1);
  assert.deepEqual(states, [
    [{ ...office, state: "reachable" }, 1],
    [{ ...bare, state: "missing" }, 1],
  ]);
  assert.equal(valuesOf(full, "stunmesh_peer_state").length, 10);
});

test("formatMetrics() leaves out what is not known, instead of writing 0", () => {
  const absent = [
    "stunmesh_peer_up",
    "stunmesh_interface_discovery_rtt_seconds",
    "stunmesh_interface_mapping_info",
    "stunmesh_store_calls_total",
    "process_open_fds",
  ];
  for (const name of absent) assert.ok(!empty.has(name), name);
  for (const name of [
    "stunmesh_peer_sent_bytes_total",
    "stunmesh_peer_endpoint_info",
    "stunmesh_peer_ping_loss_ratio",
  ]) {
    assert.equal(valuesOf(full, name).length, 1, name);
  }
  assert.deepEqual(valuesOf(empty, "stunmesh_interface_up"), [[{ interface: "wg0" }, 0]]);
  assert.deepEqual(valuesOf(empty, "stunmesh_interface_discovery_failing"), [[{ interface: "wg0" }, 1]]);
  assert.deepEqual(valuesOf(empty, "stunmesh_config_last_reload_successful"), [[{}, 0]]);
  assert.deepEqual(valuesOf(full, "stunmesh_config_last_reload_successful"), [[{}, 1]]);
});

test("a ping verdict that is not known yet has no sample", () => {
  const [wg0] = fullStatus.interfaces;
  const peers = (wg0?.peers ?? []).map((peer) =>
    peer.ping ? { ...peer, ping: { ...peer.ping, verdict: "unknown" as const } } : peer,
  );
  const metrics = parsePrometheusText(formatMetrics({ ...fullStatus, interfaces: [{ ...wg0!, peers }] }, usage));
  assert.ok(!metrics.has("stunmesh_peer_ping_up"));
  assert.ok(metrics.has("stunmesh_peer_ping_loss_ratio"));
});

test("1,000 peers fit into less than 10 MB, and take no time that grows with their square", () => {
  const [wg0] = fullStatus.interfaces;
  const peers = Array.from({ length: 1_000 }, (_, index) => ({ ...wg0!.peers[0]!, name: `peer ${index}` }));
  const startedMs = performance.now();
  const text = formatMetrics({ ...fullStatus, interfaces: [{ ...wg0!, peers }] }, usage);
  assert.ok(performance.now() - startedMs < 20_000);
  assert.ok(text.length < 10_000_000);
});
