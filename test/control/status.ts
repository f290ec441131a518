/** A status as a daemon has it, for tests. */
import type { DaemonStatus, PeerStatus } from "../../src/status.ts";

export const NOW_MS = Date.UTC(2026, 10, 1, 12);

/** A time before NOW_MS. */
export function ago(seconds: number): string {
  return new Date(NOW_MS - seconds * 1000).toISOString();
}

export function createPeerStatus(some: Partial<PeerStatus> = {}): PeerStatus {
  return {
    name: "office",
    publicKey: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=",
    state: "reachable",
    since: ago(7200),
    endpoint: "203.0.113.18:21242",
    endpointFrom: "record",
    latestHandshakeAt: ago(85),
    receivedBytes: 1,
    sentBytes: 1,
    persistentKeepalive: 25,
    published: [{ plugin: "shared", at: ago(240), addresses: ["203.0.113.10:21504"] }],
    fetch: { at: ago(240), result: "unchanged" },
    next: { at: ago(-330), reason: "interval" },
    busy: false,
    plugins: ["shared"],
    counters: { publishes: 1, publishFailures: 0, fetches: 1, fetchFailures: 0, endpointWrites: 1, downs: 0 },
    ...some,
  };
}

/** One interface, wg0, with reachable peers peer0, peer1, ... */
export function createStatus({ peers }: { readonly peers: number }): DaemonStatus {
  return {
    version: "0.1.0",
    pid: 4711,
    startedAt: ago(9000),
    config: { path: "/etc/stunmesh/config.yaml", loadedAt: ago(9000) },
    interfaces: [
      {
        name: "wg0",
        state: "ready",
        device: {
          name: "wg0",
          publicKey: "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=",
          listenPort: 51820,
          firewallMark: 0,
        },
        own: {
          ipv4: { address: "203.0.113.10:21504", server: "198.51.100.10:3478", rttMs: 6.2, discoveredAt: ago(240) },
        },
        mapping: { family: "ipv4", behavior: "endpoint-independent", scope: "public", observedAt: ago(240) },
        counters: { discoveries: 1, discoveryFailures: 0 },
        peers: Array.from({ length: peers }, (_, index) => createPeerStatus({ name: `peer${index}` })),
      },
    ],
    stores: [{ name: "shared", type: "file", calls: 2, failures: 0, seconds: 0.01 }],
  };
}
