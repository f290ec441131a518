/** The laboratory itself: its NATs are what they say they are, its faults do what they say, and nothing stays behind. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { repositoryRoot } from "../fixtures/path.ts";
import { type Lab, openLab, type SiteOptions } from "./lab.ts";
import { readCommand, spawnProcess } from "./process.ts";
import { waitFor } from "./wait.ts";

const probe = join(repositoryRoot, "test/lab/tools/udpprobe.mjs");
const stateRoot = "/tmp/stunmesh-lab";

interface Probed {
  readonly mapping: string;
  readonly filtering: string;
  readonly portKept: boolean;
  readonly mapped: readonly (string | null)[];
}

async function probeNat(lab: Lab, host: string, family: "--v4" | "--v6" = "--v4"): Promise<Probed> {
  return JSON.parse(await lab.exec(host, [process.execPath, probe, "client", family]));
}

/** What the internet sees of a new socket of `host`, or undefined when nothing comes through. */
async function mappedAddress(lab: Lab, host: string, family: "--v4" | "--v6" = "--v4"): Promise<string | undefined> {
  const { mapped } = JSON.parse(await lab.exec(host, [process.execPath, probe, "mapped", family]));
  return mapped[0] ?? undefined;
}

const EI = "endpoint-independent";
const AD = "address-dependent";
const APD = "address-and-port-dependent";
const none = "blocked";
/** Mapping and filtering of IPv4 and IPv6, whether the port is kept for IPv4, and the address seen. */
const kinds: readonly (SiteOptions & { v4: string[]; six: string[]; keeps: boolean; seen: string })[] = [
  { nat: "fullcone", v6: "fw", v4: [EI, EI], six: [EI, APD], keeps: false, seen: "203.0.113.10" },
  { nat: "addr", v6: "open", v4: [EI, AD], six: [EI, EI], keeps: false, seen: "203.0.113.18" },
  { nat: "port", v6: "nat66", v4: [EI, APD], six: [EI, APD], keeps: false, seen: "203.0.113.26" },
  { nat: "symm", v6: "none", v4: [APD, APD], six: [none, none], keeps: false, seen: "203.0.113.34" },
  { nat: "portkeep", v4: [EI, APD], six: [EI, APD], keeps: true, seen: "203.0.113.42" },
  { nat: "static", v4: [EI, APD], six: [EI, APD], keeps: true, seen: "203.0.113.50" },
  { nat: "block", v4: [none, none], six: [none, none], keeps: false, seen: "" },
  { nat: "direct", v4: [EI, EI], six: [EI, EI], keeps: true, seen: "203.0.113.66" },
  { nat: "port", via: "cg1", v4: [EI, APD], six: [EI, APD], keeps: false, seen: "203.0.113.250" },
  { nat: "fullcone", via: "cg2", v4: [APD, APD], six: [EI, APD], keeps: false, seen: "203.0.113.2" },
];

describe("NAT kinds", () => {
  let lab: Lab;
  before(async () => {
    lab = await openLab({
      sites: kinds.map(({ v4, six, keeps, seen, ...site }) => site),
      services: ["probe"],
      wireguard: false,
      carriers: { cg2: { nat: "symm" } },
    });
  });
  after(() => lab.close());

  test("map and filter as RFC 4787 names them", async () => {
    const found = await Promise.all(
      kinds.map(async ({ nat, via }, index) => {
        const [v4, v6] = await Promise.all([probeNat(lab, `h${index + 1}`), probeNat(lab, `h${index + 1}`, "--v6")]);
        return {
          site: [nat, via],
          v4: [v4.mapping, v4.filtering],
          six: [v6.mapping, v6.filtering],
          keeps: v4.portKept,
          seen: v4.mapped[0]?.replace(/:\d+$/, "") ?? "",
        };
      }),
    );
    const expected = kinds.map(({ nat, via, v4, six, keeps, seen }) => ({ site: [nat, via], v4, six, keeps, seen }));
    assert.deepEqual(found, expected);
  });

  test("let no private or spoofed source out to the internet", async () => {
    const counters = await lab.exec("inet", ["nft", "list", "counters", "table", "inet", "core"]);
    assert.deepEqual(counters.match(/packets \d+/g), ["packets 0", "packets 0"]);
  });

  test("are not connected to the machine's own network", async () => {
    await assert.rejects(lab.exec("inet", ["ip", "route", "get", "1.1.1.1"]), /unreachable/);
    const links = JSON.parse(await lab.exec("inet", ["ip", "-j", "link"]));
    const names = links.map(({ ifname }: { readonly ifname: string }) => ifname).filter((n: string) => n !== "lo");
    assert.match(names.join(" "), /^(srv|u\d+)( (srv|u\d+))*$/);
  });
});

describe("faults", () => {
  let lab: Lab;
  before(async () => {
    lab = await openLab({
      sites: [{ nat: "port", wans: 2 }, { nat: "port" }],
      services: ["probe", "stund"],
      wireguard: false,
    });
  });
  after(() => lab.close());

  test("rebind moves mappings to another range of ports", async () => {
    assert.match((await mappedAddress(lab, "h2")) ?? "", /^203\.0\.113\.18:2[0-4]/);
    await lab.fault("rebind", "r2");
    assert.match((await mappedAddress(lab, "h2")) ?? "", /^203\.0\.113\.18:3[0-4]/);
  });

  test("wan_addr gives the site another public address", async () => {
    await lab.fault("wan_addr", "r2", 3);
    assert.match((await mappedAddress(lab, "h2")) ?? "", /^203\.0\.113\.19:/);
  });

  test("wan_switch moves the site to its second uplink, IPv6 prefix included", async () => {
    await lab.fault("wan_switch", "r1", 1);
    assert.match((await mappedAddress(lab, "h1")) ?? "", /^203\.0\.113\.130:2[5-9]/);
    assert.match((await mappedAddress(lab, "h1", "--v6")) ?? "", /^\[2001:db8:b:1::2\]:/);
    await lab.fault("wan_switch", "r1", 0);
    assert.match((await mappedAddress(lab, "h1")) ?? "", /^203\.0\.113\.10:2[0-4]/);
  });

  test("renumber6 gives the site another IPv6 prefix", async () => {
    await lab.fault("renumber6", "r2");
    assert.match((await mappedAddress(lab, "h2", "--v6")) ?? "", /^\[2001:db8:b1:2::2\]:/);
  });

  for (const [fault, ping] of [
    ["udp_block", true],
    ["blackhole", false],
  ] as const) {
    test(`${fault} drops ${ping ? "UDP only" : "everything"}`, async () => {
      await lab.fault(fault, "r2", "on");
      assert.equal(await mappedAddress(lab, "h2"), undefined);
      if (ping) await lab.waitForAnswer("h2", "198.51.100.40");
      else assert.equal((await lab.ping("h2", "198.51.100.40")).received, 0);
      await lab.fault(fault, "r2", "off");
      assert.notEqual(await mappedAddress(lab, "h2"), undefined);
    });
  }

  test("uplink takes a site off the internet and brings it back", async () => {
    await lab.fault("uplink", "r2", "down");
    assert.equal((await lab.ping("h2", "198.51.100.40", { timeoutMs: 300 })).received, 0);
    await lab.fault("uplink", "r2", "up");
    // The kernel may take up to a second to notice the carrier.
    await waitFor(() => mappedAddress(lab, "h2"), { what: "IPv4 of h2" });
    await waitFor(() => mappedAddress(lab, "h2", "--v6"), { what: "IPv6 of h2" });
  });

  test("loss drops about the share of packets it is told", async () => {
    await lab.fault("loss", "r2", 30);
    const { received } = await lab.ping("h2", "198.51.100.40", { count: 60, timeoutMs: 100 });
    await lab.fault("loss", "r2", 0);
    // 0.7 * 0.7 = 49 % come back; more than five standard deviations either way.
    assert.ok(received > 8 && received < 51, `${received} of 60`);
    assert.equal((await lab.ping("h2", "198.51.100.40", { count: 20, timeoutMs: 30_000 })).received, 20);
  });

  test("p2p_block separates two sites and leaves them the servers", async () => {
    const target = "203.0.113.19";
    await lab.waitForAnswer("h1", target);
    await lab.fault("p2p_block", 1, 2, "on");
    assert.equal((await lab.ping("h1", target, { timeoutMs: 300 })).received, 0);
    assert.notEqual(await mappedAddress(lab, "h1"), undefined);
    await lab.fault("p2p_block", 1, 2, "off");
    await lab.waitForAnswer("h1", target);
  });

  test("stund_mode takes the modes there are and no other", async () => {
    await lab.fault("stund_mode", "lie:203.0.113.7:4242");
    await assert.rejects(lab.fault("stund_mode", "sing"), /refuses the mode "sing"/);
  });
});

describe("WireGuard", () => {
  let lab: Lab;
  before(async () => {
    lab = await openLab({ sites: [{ nat: "static" }, { nat: "port" }] });
  });
  after(() => lab.close());

  test("makes a tunnel once an endpoint is known, and the NAT's mapping is what the peer sees", async () => {
    const { tunnel4, tunnel6 } = lab.host(1);
    assert.equal(await lab.latestHandshake("h2"), undefined);
    await lab.setEndpoint("h2", { peer: "h1", endpoint: "203.0.113.10:51820" });
    await lab.waitForAnswer("h2", tunnel4);
    await lab.waitForAnswer("h2", tunnel6);
    assert.ok((await lab.latestHandshake("h1", "h2"))! > 1_700_000_000);
    const mapping = (await lab.mappings("r2")).find(({ inner }) => inner === "192.168.2.2:51820");
    assert.equal(mapping?.remote, "203.0.113.10:51820");
    assert.match(mapping.outer, /^203\.0\.113\.18:2[0-4]\d{3}$/);
    assert.equal(await lab.endpoint("h1", "h2"), mapping.outer);
  });

  test("comes back after wg_stop and wg_start with its key and peers, on the port it is told", async () => {
    await lab.fault("wg_stop", "h2");
    await lab.fault("wg_start", "h2", 40_000);
    const dump = await lab.wg("h2", ["show", lab.host(2).wireguardInterface]);
    assert.match(dump, /listening port: 40000/);
    assert.ok(dump.includes(lab.host(2).publicKey) && dump.includes(lab.host(1).publicKey));
    await lab.setEndpoint("h2", { peer: "h1", endpoint: "203.0.113.10:51820" });
    await lab.waitForAnswer("h2", lab.host(1).tunnel4);
  });
});

describe("a lab", () => {
  test("leaves no namespace, process, socket or file behind", async () => {
    const lab = await openLab({ sites: [{}, {}], services: ["stun1", "stund"] });
    const sleeper = await lab.spawn("h1", ["sleep", "1000"]);
    // Six namespaces, two WireGuard sockets, the state directory.
    assert.equal(traces(lab.name).length, 9);
    await lab.close();
    assert.deepEqual(await sleeper.exited, { code: null, signal: "SIGKILL" });
    assert.deepEqual(traces(lab.name), []);
    const processes = await readCommand(["ps", "-eo", "args"]);
    assert.ok(!processes.includes(lab.name), processes);
  });

  test("that cannot come up says why and leaves nothing", async () => {
    const name = nameOfThisRun("b");
    await assert.rejects(
      openLab({ name, sites: [{ nat: "sieve" as "port" }] }),
      /unknown option "nat=sieve" of site 1/,
    );
    assert.deepEqual(traces(name), []);
  });

  test("goes when its owner is killed", async () => {
    const code = `const { openLab } = await import(${JSON.stringify(new URL("./lab.js", import.meta.url).href)});
      const lab = await openLab({ sites: [{}] });
      console.log(lab.name);
      setInterval(() => {}, 1000);`;
    const owner = await spawnProcess([process.execPath, "--input-type=module", "-e", code]);
    const name = await owner.waitForLine((line) => line !== "");
    assert.ok(traces(name).length > 0);
    await owner.stop("SIGKILL");
    await waitFor(() => traces(name).length === 0, { what: "the end of the lab" });
  });

  test("whose owner and guard are both gone is removed by gc", async () => {
    const name = nameOfThisRun("o");
    const unborn = nameOfThisRun("u");
    const script = join(repositoryRoot, "test/lab/lab.sh");
    await readCommand(["bash", script, "up", "services=", "wg=0", "nat=port"], { env: { LAB: name } });
    writeFileSync(join(stateRoot, name, "owner"), "1 0\n");
    mkdirSync(join(stateRoot, unborn), { recursive: true });
    const other = await openLab({ sites: [{}], services: [], wireguard: false });
    await readCommand(["bash", script, "gc"]);
    assert.deepEqual(traces(name), []);
    assert.ok(traces(other.name).length > 0);
    await other.close();
    await readCommand(["bash", script, "down"], { env: { LAB: unborn } });
  });
});

/** Another run may be testing at the same time. */
function nameOfThisRun(letter: string): string {
  return `${letter}${process.pid.toString(36)}`;
}

/** Whatever on the machine has the lab's name on it. */
function traces(name: string): readonly string[] {
  const wireguard = "/run/wireguard";
  return [
    ...readdirSync("/run/netns").filter((entry) => entry.startsWith(`${name}-`)),
    ...(existsSync(wireguard) ? readdirSync(wireguard).filter((entry) => entry.startsWith(`wg${name}h`)) : []),
    ...(existsSync(join(stateRoot, name)) ? [join(stateRoot, name)] : []),
  ];
}
