/** A status of the daemon with everything in it, and one with nothing that is not always there. */
import type { DaemonStatus, PeerStatus } from "../../src/status.ts";

const counters = {
  publishes: 5,
  publishFailures: 1,
  fetches: 7,
  fetchFailures: 2,
  endpointWrites: 3,
  downs: 1,
};

const barePeer: PeerStatus = {
  name: "bare",
  publicKey: "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=",
  state: "missing",
  since: "2026-11-01T00:00:00.000Z",
  published: [],
  busy: true,
  plugins: ["folder"],
  counters,
};

export const fullStatus: DaemonStatus = {
  version: "0.1.0",
  pid: 42,
  startedAt: "2026-11-01T00:00:00.000Z",
  config: { path: "/etc/stunmesh/config.yaml", loadedAt: "2026-11-01T00:00:00.500Z" },
  interfaces: [
    {
      name: "wg0",
      state: "ready",
      own: {
        ipv4: {
          address: "203.0.113.7:40112",
          server: "198.51.100.10:3478",
          rttMs: 12.5,
          discoveredAt: "2026-11-01T00:01:00.000Z",
        },
      },
      mapping: {
        family: "ipv4",
        behavior: "endpoint-independent",
        preservesPort: false,
        scope: "public",
        observedAt: "2026-11-01T00:01:00.000Z",
      },
      counters: { discoveries: 9, discoveryFailures: 2 },
      peers: [
        {
          ...barePeer,
          name: 'the "office"\\ of B\u00e4r\n',
          state: "reachable",
          endpoint: "203.0.113.18:21242",
          endpointFrom: "record",
          latestHandshakeAt: "2026-11-01T00:02:00.250Z",
          receivedBytes: 12_345_678_901,
          sentBytes: 0,
          ping: { target: "10.99.0.2", verdict: "up", since: "2026-11-01T00:02:00.000Z", rttMs: 1.5, loss: 0.05 },
          published: [{ plugin: "folder", at: "2026-11-01T00:01:01.000Z", addresses: ["203.0.113.7:40112"] }],
          fetch: { at: "2026-11-01T00:01:02.000Z", result: "changed" },
          next: { at: "2026-11-01T00:11:00.000Z", reason: "interval" },
          busy: false,
        },
        barePeer,
      ],
    },
  ],
  stores: [{ name: "folder", type: "file", calls: 12, failures: 1, seconds: 0.25 }],
};

export const emptyStatus: DaemonStatus = {
  ...fullStatus,
  config: { ...fullStatus.config, error: "Cannot use the configuration" },
  interfaces: [
    {
      name: "wg0",
      state: "waiting",
      own: {},
      discoveryError: { at: "2026-11-01T00:00:00.000Z", message: "Cannot discover: no answer" },
      counters: { discoveries: 0, discoveryFailures: 0 },
      peers: [],
    },
  ],
  stores: [],
};

export const usage = { residentBytes: 60_000_000, cpuSeconds: 1.5, openFiles: 23, startedAtSeconds: 1_793_491_200 };
