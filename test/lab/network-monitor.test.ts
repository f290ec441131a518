/**
 * Noticing that the network changed, on a real one: a namespace with a cable (veth0) to another, a tunnel that is to be
 * ignored (wg0) and an interface for marks (mark0). Needs root and iproute2.
 */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { guardNamespaces } from "./guard.ts";
import { type LabProcess, readCommand, spawnProcess } from "./process.ts";

const namespaces = guardNamespaces();
const [near, far] = [`${namespaces.prefix}near`, `${namespaces.prefix}far`];
const child = fileURLToPath(new URL("./network-monitor-child.js", import.meta.url));
const node = [process.execPath, child, "wg0"];

const MARK = " address mark0";

let monitor: LabProcess;
let marks = 0;

/** Runs ip(8) commands in a namespace, one after the other in one process. */
async function ip(namespace: string, ...commands: readonly string[]): Promise<void> {
  await readCommand(["ip", "-n", namespace, "-batch", "-"], { input: `${commands.join("\n")}\n` });
}

async function startMonitor(prefix: readonly string[] = []): Promise<LabProcess> {
  const started = await spawnProcess(["ip", "netns", "exec", near, ...prefix, ...node]);
  await started.waitForLine((line) => line === "ready", { what: "that it watches" });
  return started;
}

/** The first line from `start` on that ends with `text`. */
function waitForNew(text: string, { start, from = monitor }: { readonly start: number; readonly from?: LabProcess }) {
  const isNew = (line: string) => line.endsWith(text) && from.lines.lastIndexOf(line) >= start;
  return from.waitForLine(isNew, { what: `"${text}"` });
}

/** Makes a change nothing else makes: when it was told of, all before it were. Returns how many lines there are then. */
async function mark(from = monitor): Promise<number> {
  const start = from.lines.length;
  await ip(near, `address add 203.0.113.${++marks}/32 dev mark0`);
  await waitForNew(MARK, { start, from });
  return from.lines.length;
}

/** Adds an address that is not looked for on the network first; the kernel says so a little later than ip(8) ends. */
async function addUniqueIpv6(address: string): Promise<void> {
  const start = await mark();
  await ip(near, `address add ${address} dev veth0 nodad`);
  await waitForNew(" address veth0", { start });
}

/** Every change the monitor tells of while `action` runs, as "kind interface". */
async function changesDuring(action: () => Promise<unknown>, from = monitor): Promise<readonly string[]> {
  const start = await mark(from);
  await action();
  const end = await mark(from);
  const lines = from.lines.slice(start, end).filter((line) => !line.endsWith(MARK));
  return lines.map((line) => line.slice(line.indexOf(" ") + 1));
}

before(async () => {
  for (const namespace of [near, far]) await readCommand(["ip", "netns", "add", namespace]);
  await ip(
    near,
    `link add veth0 type veth peer name veth0 netns ${far}`,
    "link add wg0 type veth peer name wg0far",
    "link add mark0 type veth peer name mark0far",
    "link set lo up",
  );
  await ip(far, "link set lo up", "link set veth0 addrgenmode none", "link set veth0 up");
  await ip(far, "address add 10.79.0.2/24 dev veth0", "address add 10.79.0.3/24 dev veth0");
  for (const name of ["veth0", "wg0", "wg0far"]) {
    await ip(near, `link set ${name} addrgenmode none`, `link set ${name} up`);
  }
  await ip(near, "address add 10.79.0.1/24 dev veth0", "route add default via 10.79.0.2");
  monitor = await startMonitor();
});

after(async () => {
  if (monitor) await monitor.stop();
  await namespaces.close();
});

test("an IPv4 address that comes or goes is a change", async () => {
  const added = await changesDuring(() => ip(near, "address add 10.80.0.1/24 dev veth0"));
  assert.deepEqual(new Set(added), new Set(["address veth0", "route veth0"]));
  const removed = await changesDuring(() => ip(near, "address delete 10.80.0.1/24 dev veth0"));
  assert.ok(removed.includes("address veth0"));
});

test("an IPv6 address that comes or goes is a change, once it can be used", async () => {
  await addUniqueIpv6("fd79::1/64");
  const removed = await changesDuring(() => ip(near, "address delete fd79::1/64 dev veth0"));
  assert.ok(removed.includes("address veth0"));

  const start = await mark();
  const tentative = await changesDuring(() => ip(near, "address add fd79::2/64 dev veth0"));
  assert.deepEqual(tentative, ["route veth0"]);
  assert.ok(await waitForNew(" address veth0", { start }));
  await ip(near, "address delete fd79::2/64 dev veth0");
});

test("a default route that is switched, removed and set again is a change each time, and only then", async () => {
  for (const [command, changes] of [
    ["route replace default via 10.79.0.3", ["route veth0"]],
    ["route replace default via 10.79.0.3", []],
    ["route replace default via 10.79.0.2", ["route veth0"]],
    ["route delete default", ["route veth0"]],
    ["route add default via 10.79.0.2", ["route veth0"]],
  ] as const) {
    assert.deepEqual(await changesDuring(() => ip(near, command)), changes, command);
  }
});

test("a cable that is pulled and put in again is a change, and so is a link that is set down and up", async () => {
  for (const namespace of [far, near]) {
    for (const state of ["down", "up"]) {
      const start = await mark();
      await ip(namespace, `link set veth0 ${state}`);
      assert.ok(await waitForNew(" link veth0", { start }));
    }
  }
  await ip(near, "route replace default via 10.79.0.2");
});

test("an interface that is deleted is a change", async () => {
  await ip(near, "link add gone0 type veth peer name gone1", "link set gone0 up", "link set gone1 up");
  const changes = await changesDuring(() => ip(near, "link delete gone0"));
  assert.ok(changes.includes("link gone0"), changes.join());
});

test("a change is told of at once, not at the next of regular looks", async (context) => {
  const latenciesMs: number[] = [];
  for (let count = 0; count < 50; count++) {
    const via = count % 2 === 0 ? "10.79.0.3" : "10.79.0.2";
    const start = await mark();
    const startMs = Number(process.hrtime.bigint()) / 1e6;
    await ip(near, `route replace default via ${via}`);
    const line = await waitForNew(" route veth0", { start });
    latenciesMs.push(Number.parseFloat(line) - startMs);
  }
  latenciesMs.sort((a, b) => a - b);
  const [median = 0, worst = 0] = [latenciesMs[25], latenciesMs.at(-1)];
  context.diagnostic(`with the start of ip(8): median ${median.toFixed(1)} ms, worst ${worst.toFixed(1)} ms`);
  assert.ok(median < 1_000, `${median} ms`);
});

test("neighbours, traffic, timers and the tunnel are no change", async () => {
  const neighbours = Array.from({ length: 200 }, (_, number) => [
    `neighbour replace 10.79.0.${number + 10} lladdr 02:00:00:00:00:01 dev veth0`,
    `neighbour delete 10.79.0.${number + 10} dev veth0`,
  ]);
  await addUniqueIpv6("fd79::5/64");
  const noise = await changesDuring(async () => {
    await ip(near, ...neighbours.flat());
    await readCommand(["ip", "netns", "exec", near, "ping", "-q", "-c", "200", "-i", "0.002", "10.79.0.2"]);
    for (let seconds = 1000; seconds < 1020; seconds++) {
      await ip(near, `address change fd79::5/64 dev veth0 valid_lft ${seconds} preferred_lft ${seconds} nodad`);
    }
    await ip(near, "address add 10.99.0.1/24 dev wg0", "route add default dev wg0 table 51820");
    await ip(near, "route add 198.51.100.0/24 via 10.99.0.2", "link set veth0 mtu 1400", "link set veth0 mtu 1500");
    await ip(near, "address flush dev wg0");
  });
  assert.deepEqual(noise, []);
});

test("the tunnel is ignored when it is deleted and made again, too", async () => {
  const changes = await changesDuring(() =>
    ip(
      near,
      "link delete wg0",
      "link add wg0 type veth peer name wg0far",
      "link set wg0 addrgenmode none",
      "link set wg0 up",
      "address add 10.99.0.1/24 dev wg0",
      "route add default dev wg0 table 51820",
    ),
  );
  // The other end of what stands for a tunnel here is an interface like any other.
  assert.deepEqual(new Set(changes), new Set(["link wg0far"]));
});

test("a flood of routes is told in no more calls, and the watch goes on", async (context) => {
  const add = Array.from({ length: 2_000 }, (_, n) => `route add 172.16.${n >> 8}.${n & 255} via 10.79.0.2`);
  const changes = await changesDuring(() => ip(near, ...add));
  context.diagnostic(`2,000 routes: ${changes.length} calls`);
  assert.deepEqual(new Set(changes), new Set(["route veth0"]));
  assert.ok(changes.length <= 2_000, `${changes.length} calls`);
  assert.deepEqual(await changesDuring(() => ip(near, "route replace default via 10.79.0.3")), ["route veth0"]);
});

test("what is lost while nobody reads counts as one change, and the watch goes on", async (context) => {
  const commands = Array.from({ length: 20 }, () => [
    ...Array.from({ length: 2_000 }, (_, n) => `route replace 172.17.${n >> 8}.${n & 255} via 10.79.0.2`),
    ...Array.from({ length: 2_000 }, (_, n) => `route replace 172.17.${n >> 8}.${n & 255} via 10.79.0.3`),
  ]).flat();
  const changes = await changesDuring(async () => {
    process.kill(monitor.pid, "SIGSTOP");
    try {
      await ip(near, ...commands);
    } finally {
      process.kill(monitor.pid, "SIGCONT");
    }
    await monitor.waitForLine((line) => line.endsWith(" unknown -"), { what: "that something was lost" });
  });
  context.diagnostic(`${commands.length} changes unread: ${changes.length} calls`);
  assert.ok(changes.includes("unknown -"));
  assert.ok(changes.length < 200, `${changes.length} calls`);
  assert.deepEqual(await changesDuring(() => ip(near, "address add 10.81.0.1/32 dev veth0")), ["address veth0"]);
});

test("no privilege is needed", async () => {
  const unprivileged = await startMonitor(["setpriv", "--bounding-set=-all", "--inh-caps=-all"]);
  const changes = await changesDuring(() => ip(near, "address add 10.82.0.1/32 dev veth0"), unprivileged);
  assert.deepEqual(changes, ["address veth0"]);
  assert.deepEqual(await unprivileged.stop(), { code: 0, signal: null });
});

test("a closed watch leaves no descriptor and lets the process exit", async () => {
  const one = await startMonitor();
  const changes = await changesDuring(() => ip(near, "address add 10.83.0.1/32 dev veth0"), one);
  assert.deepEqual(changes, ["address veth0"]);
  assert.deepEqual(await one.stop(), { code: 0, signal: null });
  assert.equal(one.lines.at(-1), "left 0");
});
