/**
 * STUN servers as people really have them: most of the list dead, one that lies, none of use, no way to reach any. The
 * daemon connects where it can, and it and `doctor` say nothing that is not so. All situations share one lab.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { InterfaceStatus } from "../../src/status.ts";
import { meshConfig, runProgram, startDaemon, waitForTunnel } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import { waitFor } from "./wait.ts";

interface Finding {
  readonly level: string;
  readonly check: string;
  readonly subject: string;
  readonly text: string;
}

/** Nobody is at these addresses. */
const dead = Array.from({ length: 10 }, (_, index) => `198.51.100.${201 + index}:3478`);

describe("STUN servers", () => {
  let lab: Lab;

  async function examine(host: LabHost, config: object): Promise<readonly Finding[]> {
    const { stdout, stderr } = await runProgram(lab, host, { config, command: ["doctor", "--json"], args: [] });
    assert.equal(stderr, "");
    return JSON.parse(stdout).findings;
  }

  async function readStatus(host: LabHost, config: object): Promise<InterfaceStatus | undefined> {
    const { stdout } = await runProgram(lab, host, { config, command: ["status", "--json"], args: [] });
    return JSON.parse(stdout || "{}").interfaces?.[0];
  }

  /** Starts daemons on two hosts that are peers and waits for the tunnel. */
  async function connect(hosts: readonly [LabHost, LabHost], stun: readonly string[]) {
    const [one, two] = hosts;
    const configs = [
      meshConfig(lab, one, { peers: [two], stun }),
      meshConfig(lab, two, { peers: [one], stun }),
    ] as const;
    const daemons = await Promise.all([
      startDaemon(lab, one, { config: configs[0] }),
      startDaemon(lab, two, { config: configs[1] }),
    ]);
    await waitForTunnel(lab, hosts, { timeoutMs: 30_000 });
    return { daemon: daemons[0], config: configs[0] };
  }

  const textOf = (findings: readonly Finding[]) => JSON.stringify(findings, undefined, 1);

  before(async () => {
    lab = await openLab({
      sites: Array.from({ length: 7 }, () => ({ nat: "port" as const })),
      services: ["stun1", "stun2", "stund"],
    });
  });
  after(() => lab.close());

  test("ten dead servers before a live one", async () => {
    const live = lab.stun.stun2.ipv4;
    const { daemon, config } = await connect([lab.host(1), lab.host(2)], [...dead, live]);
    assert.equal((await daemon.waitForEvent({ msg: "discovered IPv4 endpoint" })).server, live);
    assert.deepEqual(
      daemon.process.lines.filter((line) => /MaxListenersExceededWarning/.test(line)),
      [],
    );
    const findings = await examine(lab.host(1), config);
    const [discovery] = findings.filter(({ check }) => check === "discovery");
    assert.match(
      discovery?.text ?? "",
      /takes the answer of 198\.51\.100\.20:3478, after .*its turn does not come: none$/,
    );
    assert.deepEqual(
      findings.filter(({ level }) => level === "fail"),
      [],
    );
  });

  test("the first server lies: a private address, and a wrong public one", async () => {
    const { stun1, stun2, stund } = lab.stun;
    const servers = [stund.ipv4, stun1.ipv4, stun2.ipv4];
    for (const [lie, hosts, reason] of [
      ["172.17.0.1:40000", [lab.host(3), lab.host(4)], /no public address, and others contradict it/],
      ["203.0.113.250:40000", [lab.host(5), lab.host(6)], /198\.51\.100\.30:3478 alone says that this host is 203/],
    ] as const) {
      await lab.fault("stund_mode", `lie:${lie}`);
      const { daemon, config } = await connect(hosts, servers);
      const line = await daemon.waitForEvent({ msg: "STUN server is contradicted by others" });
      assert.equal(line.server, stund.ipv4);
      assert.match(line.reason ?? "", reason);
      const [host] = hosts;
      await waitFor(async () => (await readStatus(host, config))?.own.ipv4?.address !== lie, {
        what: "the lie be replaced",
        timeoutMs: 10_000,
        everyMs: 500,
      });
      const status = await readStatus(host, config);
      assert.equal(status?.mapping?.behavior, "endpoint-independent");
      assert.match(status?.notes?.join() ?? "", reason);
      const findings = await examine(host, config);
      assert.doesNotMatch(textOf(findings), /symmetric/);
      assert.match(findings.find(({ subject }) => subject === stund.ipv4)?.text ?? "", reason);
      assert.deepEqual(
        daemon.events().filter(({ msg }) => /symmetric NAT/.test(msg)),
        [],
      );
    }
  });

  test("the only server answers with nothing of use", async () => {
    const [host, peer] = [lab.host(7), lab.host(1)];
    const config = meshConfig(lab, host, { peers: [peer], stun: [lab.stun.stund.ipv4] });
    await lab.fault("stund_mode", "lie:127.0.0.1:40000");
    const verdictOf = async () => (await examine(host, config)).find(({ check }) => check === "verdict")?.text ?? "";
    assert.match(await verdictOf(), /^UDP works, but no STUN server is of use: .*it is a loopback address$/);
    const daemon = await startDaemon(lab, host, { config });
    await daemon.waitForEvent({ msg: "discovery failed", code: "STUN_UNUSABLE" });
    const why = async () => (await readStatus(host, config))?.peers[0]?.why ?? "";
    await waitFor(async () => /^UDP works, but no STUN server is of use/.test(await why()), {
      what: "the status say that UDP works",
      timeoutMs: 20_000,
      everyMs: 500,
    });
    await daemon.process.stop();
  });

  test("no route, an address on the loopback interface only, and none at all", async () => {
    const [host, peer] = [lab.host(7), lab.host(1)];
    const config = meshConfig(lab, host, { peers: [peer], stun: [lab.stun.stun1.ipv4, lab.stun.stun2.ipv4] });
    const verdictOf = async () => {
      const findings = await examine(host, config);
      assert.doesNotMatch(textOf(findings), /is blocked|other UDP works/);
      return findings.find(({ check }) => check === "verdict")?.text ?? "";
    };
    await lab.exec(host.name, ["ip", "route", "del", "default"]);
    const notSent = /^no STUN server could be asked: 198\.51\.100\.10:3478: not sent \(.*unreachable/;
    assert.match(await verdictOf(), notSent);
    const links = JSON.parse(await lab.exec(host.name, ["ip", "-j", "-4", "address"])) as readonly Link[];
    const own = links.filter(({ ifname }) => ifname !== "lo" && ifname !== host.wireguardInterface);
    for (const { ifname } of own) await lab.exec(host.name, ["ip", "-4", "address", "flush", "dev", ifname]);
    await lab.exec(host.name, ["ip", "address", "add", "192.0.2.77/32", "dev", "lo"]);
    assert.match(await verdictOf(), notSent);
    await lab.exec(host.name, ["ip", "address", "del", "192.0.2.77/32", "dev", "lo"]);
    assert.match(await verdictOf(), /^no interface that is up and connected has an IPv4 address/);
  });
});

interface Link {
  readonly ifname: string;
}
