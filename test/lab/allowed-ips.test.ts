/**
 * The packet that opens the tunnel enters it, whatever the allowed IPs are. No pings are configured, there is no keepalive and
 * no traffic: if that packet goes astray there is no handshake, ever.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { meshConfig, startDaemon } from "./daemon.ts";
import { openLab } from "./lab.ts";
import { waitFor } from "./wait.ts";

describe("two sites connect", { concurrency: 2 }, () => {
  for (const [what, allowedIps, hasIpv6] of [
    ["whose allowed IPs contain the own tunnel address", "10.99.0.0/24", true],
    ["that take everything over a tunnel without IPv6", "::/0,0.0.0.0/0", false],
  ] as const)
    test(what, async () => {
      const lab = await openLab({ sites: [{}, {}] });
      try {
        const [one, two] = [lab.host(1), lab.host(2)];
        for (const [host, peer] of [
          [one, two],
          [two, one],
        ] as const) {
          await lab.wg(host.name, ["set", host.wireguardInterface, "peer", peer.publicKey, "allowed-ips", allowedIps]);
          if (!hasIpv6) await lab.exec(host.name, ["ip", "-6", "addr", "flush", "dev", host.wireguardInterface]);
          const config = meshConfig(lab, host, { peers: [peer], stun: [lab.stun.stun1.ipv4] });
          await startDaemon(lab, host, { config });
        }
        for (const [from, to] of [
          [one, two],
          [two, one],
        ] as const) {
          const what = `a handshake of ${from.name}`;
          assert.ok(await waitFor(() => lab.latestHandshake(from.name, to.name), { what }));
        }
      } finally {
        await lab.close();
      }
    });
});
