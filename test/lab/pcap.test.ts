/**
 * Listening through libpcap on a real network: a host with 12 interfaces, two of them uplinks to a STUN server, and a
 * machine behind it that it routes for. Needs root, iproute2 and libpcap. Where the kernel has VLAN interfaces (modprobe
 * 8021q), the second uplink and one more are VLANs of one trunk; frames with tags are made by hand besides.
 *
 *     LAN 10.88.0.2 ---- lan0 [ near ] up0   10.77.0.1/24 ---- 10.77.0.2 [ far: 198.51.100.2, 2001:db8:5::2 ]
 *                                     up1   10.77.1.1/24 ---- 10.77.1.2
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { dlt } from "../../src/platform/pcap/link-frame.ts";
import { answerV4, answerV6, frameOf, layers } from "../platform/pcap/frames.ts";
import { guardNamespaces } from "./guard.ts";
import { type LabProcess, readCommand, runCommand, spawnProcess } from "./process.ts";

const namespaces = guardNamespaces();
const [near, far, lan] = ["near", "far", "lan"].map((name) => namespaces.prefix + name) as [string, string, string];
const child = fileURLToPath(new URL("./pcap-child.js", import.meta.url));
const servers = { ipv4: "198.51.100.2", ipv6: "2001:db8:5::2" } as const;
const dead = { ipv4: "198.51.100.99", ipv6: "2001:db8:5::99" } as const;
const families = ["ipv4", "ipv6"] as const;
/** For a thorough look `PCAP_CYCLES=1000`: one takes 40 ms. */
const cycles = Number(process.env.PCAP_CYCLES ?? 100);

let server: LabProcess;

/** Runs ip(8) commands in a namespace. */
async function ip(namespace: string, ...commands: readonly string[]): Promise<void> {
  await readCommand(["ip", "-n", namespace, "-batch", "-"], { input: `${commands.join("\n")}\n` });
}

const inNamespace = (namespace: string, argv: readonly string[]) => ["ip", "netns", "exec", namespace, ...argv];
const childArgv = (scenario: string, parameters: object = {}) => [
  process.execPath,
  "--expose-gc",
  child,
  scenario,
  JSON.stringify({ names: [], own: [], commands: [], ...parameters }),
];

/** Runs a scenario on the host to its end; fails when it does not end by itself or says anything on stderr. */
async function run<T>(scenario: string, parameters: object = {}): Promise<T> {
  const argv = inNamespace(near, childArgv(scenario, parameters));
  const { code, stdout, stderr } = await runCommand(argv);
  assert.deepEqual({ code, stderr }, { code: 0, stderr: "" }, scenario);
  return JSON.parse(stdout) as T;
}

async function hasVlans(): Promise<boolean> {
  await ip(near, "link add trunk type veth peer name peer");
  const argv = ["ip", "-n", near, "link", "add", "link", "trunk", "name", "probe", "type", "vlan", "id", "7"];
  const { code } = await runCommand(argv);
  await ip(near, "link delete trunk");
  return code === 0;
}

before(async () => {
  for (const namespace of [near, far, lan]) await readCommand(["ip", "netns", "add", namespace]);
  const cable = (name: string, to = far) => `link add ${name} index ${++index} type veth peer name ${name} netns ${to}`;
  let index = 1000;
  const idle = ["x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10"];
  const vlans = (await hasVlans()) ? ["up1", "x3"] : [];
  const addVlans = vlans.map((name, at) => `link add link trunk name ${name} type vlan id ${7 + at}`);
  const upTrunk = vlans.length > 0 ? ["link set trunk up"] : [];
  await ip(
    near,
    ...["up0", "up1", ...idle].filter((name) => !vlans.includes(name)).map((name) => cable(name)),
    ...(vlans.length > 0 ? [cable("trunk")] : []),
    ...addVlans,
    ...upTrunk,
    cable("lan0", lan),
    "tuntap add dev tun0 mode tun",
    "address add 10.77.0.1/24 dev up0",
    "address add fd77::1/64 dev up0 nodad",
    "address add 10.77.1.1/24 dev up1",
    "address add fd77:1::1/64 dev up1 nodad",
    "address add 10.88.0.1/24 dev lan0",
    "address add 192.0.2.1/32 dev lo",
    "address add 2001:db8::1/128 dev lo nodad",
    ...idle.slice(0, 4).map((name, at) => `address add 10.66.${at}.1/24 dev ${name}`),
    ...["lo", "up0", "up1", ...idle, "tun0", "lan0"].map((name) => `link set ${name} up`),
    "route add default via 10.77.0.2",
    "route add ::/0 via fd77::2",
  );
  await ip(
    far,
    ...addVlans,
    ...upTrunk,
    "address add 10.77.0.2/24 dev up0",
    "address add fd77::2/64 dev up0 nodad",
    "address add 10.77.1.2/24 dev up1",
    "address add fd77:1::2/64 dev up1 nodad",
    `address add ${servers.ipv4}/32 dev lo`,
    `address add ${servers.ipv6}/128 dev lo nodad`,
    ...["lo", "up0", "up1", ...idle].map((name) => `link set ${name} up`),
    "route add 10.88.0.0/24 via 10.77.0.1",
  );
  await ip(
    lan,
    "address add 10.88.0.2/24 dev lan0",
    "link set lo up",
    "link set lan0 up",
    "route add default via 10.88.0.1",
  );
  const sysctl = ["sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0"];
  await readCommand(inNamespace(near, sysctl));
  server = await spawnProcess(inNamespace(far, childArgv("serve", { names: Object.values(servers) })));
  await server.waitForLine((line) => line === "ready", { what: "the server" });
});

after(async () => {
  await server?.stop();
  await namespaces.close();
});

interface Exchange {
  readonly ms?: number;
  readonly from?: object;
  readonly skipped: readonly object[];
  readonly openMs: number;
  readonly closeMs: number;
  readonly idleMs: number;
  readonly afterwards: string;
}

/** How the answers come back, while the requests go out by up0. */
const returns = {
  "the same uplink": { ipv4: "dev up0", ipv6: "dev up0" },
  "the other uplink": { ipv4: "via 10.77.1.1 dev up1", ipv6: "via fd77:1::1 dev up1" },
} as const;
const own = { ipv4: "10.77.0.1", ipv6: "fd77::1" } as const;
const ownRoute = { ipv4: `${own.ipv4}/32`, ipv6: `${own.ipv6}/128` } as const;

for (const family of families) {
  for (const [by, routes] of Object.entries(returns)) {
    test(`an answer is found that comes in by ${by} (${family})`, async (t) => {
      await ip(far, `route replace ${ownRoute[family]} ${routes[family]}`);
      const { ms, openMs, closeMs, idleMs, ...rest } = await run<Exchange>("exchange", { family, to: servers[family] });
      assert.deepEqual(rest.from, { family, host: servers[family], port: 3478 });
      assert.deepEqual(rest.skipped, []);
      assert.match(rest.afterwards, /^Cannot send a datagram to .*: the socket is closed$/);
      assert.ok(idleMs < 100, `${idleMs} ms of processor time in 200 ms of waiting`);
      const figures = { answered: ms, open: openMs, close: closeMs, idle: idleMs };
      t.diagnostic(
        Object.entries(figures)
          .map(([what, value]) => `${what} ${value?.toFixed(1)} ms`)
          .join(", "),
      );
    });
  }

  test(`an answer is found with and without VLAN tags (${family})`, async () => {
    const tagged = layers.filter(({ linkType }) => linkType === dlt.ethernet);
    assert.equal(tagged.length, 4);
    const packet = family === "ipv4" ? answerV4() : answerV6();
    const frames = tagged.map((layer) => Buffer.from(frameOf(layer, packet)).toString("hex"));
    const inject = inNamespace(far, childArgv("inject", { names: ["up1"], frames }));
    const commands = [inject];
    const parameters = { family, options: { interfaces: ["up1"] }, commands, count: frames.length };
    assert.deepEqual(await run("collect", parameters), { delivered: frames.length });
  });

  test(`a first server that is dead is passed over (${family})`, async (t) => {
    const parameters = { family, to: servers[family], dead: dead[family] };
    const {
      ms,
      server: by,
      ...found
    } = await run<{ ms: number; server: string; address: object }>("discover", parameters);
    assert.equal(by, servers[family]);
    assert.deepEqual(found.address, { family, host: own[family], port: 51820 });
    t.diagnostic(`${ms.toFixed(0)} ms`);
  });

  test(`the interface of the default route alone can be listened on (${family})`, async () => {
    const to = servers[family];
    await ip(far, `route delete ${ownRoute[family]}`);
    const options = { listenDefaultRoute: true };
    const found = await run<Exchange>("exchange", { family, to, options });
    assert.ok(found.ms !== undefined);
    const named = { listenDefaultRoute: true, interfaces: ["up0", "lo", "wg0", "x99", "up1"] };
    const { ms, skipped } = await run<Exchange>("exchange", { family, to, options: named });
    assert.ok(ms !== undefined);
    assert.deepEqual(skipped, [
      { interface: "lo", reason: "it is a loopback interface" },
      { interface: "wg0", reason: "there is no such interface" },
      { interface: "x99", reason: "there is no such interface" },
    ]);
  });
}

test("when nothing can be listened on, the error says what was tried", async () => {
  const parameters = { family: "ipv4", options: { interfaces: ["lo", "x99"], excludeInterface: "wg0" } };
  assert.deepEqual(await run("failure", parameters), {
    code: "SYSTEM_CALL_FAILED",
    text: "Cannot listen for answers: lo: it is a loopback interface; x99: there is no such interface",
  });
  const { code, text } = await run<{ code: string; text: string }>("failure", {
    family: "ipv4",
    options: { interfaces: ["up0"], excludeInterface: "up0" },
  });
  assert.deepEqual(
    { code, text },
    { code: "SYSTEM_CALL_FAILED", text: "Cannot listen for answers: up0: it is the tunnel itself" },
  );
});

test("without the right to capture the error says how to get it", async () => {
  const withoutRights = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"];
  const argv = inNamespace(near, [...withoutRights, ...childArgv("failure", { family: "ipv4" })]);
  const { code, text } = JSON.parse(await readCommand(argv)) as { code: string; text: string };
  assert.equal(code, "PERMISSION_DENIED");
  assert.match(text, /CAP_NET_RAW; run as root, or with "AmbientCapabilities=/);
});

test("the answer to a machine behind this router is seen, and is not taken for our own", async () => {
  const ask = inNamespace(lan, childArgv("ask", { to: servers.ipv4 }));
  const parameters = { to: servers.ipv4, names: ["up0", "lan0"], commands: [ask] };
  assert.deepEqual(await run("router", parameters), { delivered: 1 });
  // The same, but for the check of the destination: it alone keeps the other answer away.
  assert.deepEqual(await run("router", { ...parameters, own: [10, 88, 0, 2] }), { delivered: 2 });
});

test("an address that is new to this host is its own at once", async () => {
  const add = ["ip", "address", "add", "10.77.0.7/24", "dev", "up0"];
  const use = ["ip", "route", "replace", "default", "via", "10.77.0.2", "src", "10.77.0.7"];
  assert.deepEqual(await run("newAddress", { to: servers.ipv4, commands: [add, use] }), { answered: true });
  await ip(near, "route replace default via 10.77.0.2", "address delete 10.77.0.7/24 dev up0");
});

test("interfaces that are deleted, go down or come back do not disturb the others", async (t) => {
  const result = await run<{ works: boolean[]; skipped: { interface: string; reason: string }[]; idleMs: number }>(
    "changes",
    {
      to: servers.ipv4,
      commands: [
        ["ip", "link", "delete", "x6"],
        ["ip", "link", "set", "x5", "down"],
        ["ip", "link", "add", "x6", "type", "veth", "peer", "name", "x6p"],
        ["ip", "link", "set", "x6", "up"],
        ["ip", "link", "set", "x5", "up"],
        ["ip", "link", "delete", "tun0"],
        ["ip", "link", "set", "x7", "down"],
        ["ip", "link", "set", "x7", "name", "y7"],
      ],
    },
  );
  assert.deepEqual(result.works, Array(9).fill(true));
  t.diagnostic(JSON.stringify(result.skipped));
  assert.ok(result.skipped.some((one) => one.interface === "x6"));
  assert.ok(result.idleMs < 150, `${result.idleMs} ms of processor time in 300 ms of waiting`);
  assert.equal(new Set(result.skipped.map((one) => one.interface)).size, result.skipped.length, "each is told once");
});

test(`opening and closing ${cycles} times leaves no descriptor and no memory behind`, async (t) => {
  const growth = await run<Record<"descriptors" | "heapBytes" | "residentBytes" | "ms", number>>("cycles", {
    count: cycles,
    names: ["up0"],
  });
  t.diagnostic(JSON.stringify(growth));
  assert.equal(growth.descriptors, 0);
  assert.ok(growth.heapBytes < 1e6, `${growth.heapBytes} bytes`);
  assert.ok(growth.residentBytes < 30e6, `${growth.residentBytes} bytes`);
});
