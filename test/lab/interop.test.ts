/** What people have already: configurations and plugins written for STUNMESH-go, wg(8), routing with firewall marks. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fixturePath } from "../fixtures/path.ts";
import { meshConfig, startDaemon, waitForTunnel } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import { waitFor } from "./wait.ts";

describe("what is there already", { concurrency: true }, () => {
  let lab: Lab;
  before(async () => {
    lab = await openLab({ sites: Array.from({ length: 6 }, () => ({ nat: "port" as const })), services: ["stun1"] });
  });
  after(() => lab.close());

  test("configurations and plugins of STUNMESH-go work unchanged: exec here, shell there, one store", async () => {
    const store = join(lab.directory, "commands");
    const [one, two] = [lab.host(1), lab.host(2)];
    const write = (host: LabHost, peer: LabHost, plugin: "exec" | "shell") => {
      // With the keys, the words and the quoting that such files have: see fixtures/stunmesh-go-config.yaml.
      const text = `---
refresh_interval: "1m30s"
log:
  level: "DEBUG"
  format: json
ping_monitor:
  interval: "5s"
  timeout: 2s
  fixed_retries: "3"
stun:
  address: "${lab.stun.stun1.ipv4}"
interfaces:
  ${host.wireguardInterface}:
    protocol: "ipv4"
    proxy:
      enabled: false
      listen: "51999"
    peers:
      "${peer.name}":
        public_key: "${peer.publicKey}"
        plugin: commands
        description: 2024
        protocol: "ipv4"
        ping:
          enabled: "true"
          target: "${peer.tunnel4}"
          timeout: "3s"
plugins:
  commands:
    type: ${plugin}
    command: ${fixturePath(`plugins/${plugin}-directory.sh`)}
    args: ["${store}"]
    dedup: "true"
`;
      return startDaemon(lab, host, { config: text, args: [] });
    };
    const daemons = await Promise.all([write(one, two, "exec"), write(two, one, "shell")]);
    await waitForTunnel(lab, [one, two]);
    assert.equal(readdirSync(store).length, 2);
    // The level of the file, in capitals, holds: nobody gave one on the command line.
    for (const daemon of daemons) assert.ok(daemon.events().some(({ level }) => level === "debug"));
    const loud = daemons.flatMap((daemon) => daemon.events().filter(({ level }) => level === "error"));
    assert.deepEqual(loud, []);
  });

  test("a device that only wg(8) can reach is read and written with wg(8)", async () => {
    // The one with the lower key writes the endpoint; the other learns it from WireGuard.
    const byKey = (a: LabHost, b: LabHost) =>
      Buffer.from(a.publicKey, "base64").compare(Buffer.from(b.publicKey, "base64"));
    const [one, two] = [lab.host(3), lab.host(4)].toSorted(byKey) as [LabHost, LabHost];
    // The daemon lives where /run/wireguard is empty, and the "wg" in its PATH is the real one, in the view of this process.
    const folder = join(lab.directory, "wg-only");
    const calls = join(folder, "calls");
    const wg = (await lab.exec(one.name, ["sh", "-c", "command -v wg"])).trim();
    mkdirSync(folder);
    writeFileSync(
      join(folder, "wg"),
      `#!/bin/sh\necho "$1" >>"${calls}"\nexec nsenter --mount=/proc/${process.pid}/ns/mnt ${wg} "$@"\n`,
    );
    chmodSync(join(folder, "wg"), 0o755);
    const hidden = 'mount -t tmpfs none /run/wireguard && exec "$@"';
    const daemons = await Promise.all([
      startDaemon(lab, one, {
        config: meshConfig(lab, one, { peers: [two], stun: [lab.stun.stun1.ipv4] }),
        wrap: ["unshare", "--mount", "--propagation", "private", "sh", "-c", hidden, "sh"],
        env: { PATH: `${folder}:${process.env.PATH}` },
      }),
      startDaemon(lab, two, { config: meshConfig(lab, two, { peers: [one], stun: [lab.stun.stun1.ipv4] }) }),
    ]);
    await waitForTunnel(lab, [one, two]);
    const set = await daemons[0]!.waitForEvent({ msg: "endpoint set", peer: two.name });
    assert.equal(await lab.endpoint(one.name, two.name), set.endpoint);
    const used = await lab.exec(one.name, ["sort", "-u", calls]);
    assert.deepEqual(used.trim().split("\n"), ["set", "show"]);
  });

  test("everything through the tunnel: discovery goes around it with the device's firewall mark", async () => {
    const [one, two] = [lab.host(5), lab.host(6)];
    const { wireguardInterface: device } = one;
    // What wg-quick(8) does for AllowedIPs = 0.0.0.0/0.
    await lab.wg(one.name, ["set", device, "fwmark", "0xca6c"]);
    await lab.wg(one.name, ["set", device, "peer", two.publicKey, "allowed-ips", "0.0.0.0/0"]);
    const ip = (...args: string[]) => lab.exec(one.name, ["ip", "-4", ...args]);
    await ip("route", "add", "default", "dev", device, "table", "51820");
    await ip("rule", "add", "not", "fwmark", "0xca6c", "table", "51820");
    await ip("rule", "add", "table", "main", "suppress_prefixlength", "0");
    assert.match(await ip("route", "get", "198.51.100.10"), new RegExp(`dev ${device} `));

    const daemons = await Promise.all(
      [[one, two] as const, [two, one] as const].map(([host, peer]) =>
        startDaemon(lab, host, { config: meshConfig(lab, host, { peers: [peer], stun: [lab.stun.stun1.ipv4] }) }),
      ),
    );
    const { ipv4 } = await daemons[0]!.waitForEvent({ msg: "discovered IPv4 endpoint" });
    assert.match(ipv4 ?? "", /^203\.0\.113\.42:2[0-4]\d{3}$/);
    await waitForTunnel(lab, [one, two]);
    await waitFor(() => daemons.every((daemon) => daemon.events().some(({ msg }) => msg === "peer reachable")), {
      what: "both daemons finding their peer reachable",
    });
  });
});
