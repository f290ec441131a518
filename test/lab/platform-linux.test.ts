/**
 * The platform of Linux on a real network: two namespaces with a cable between them (10.77.0.0/24, fd77::/64), a UDP
 * server in the far one. Needs root, iproute2 and tcpdump. A destination behind a firewall mark: 198.51.100.2, 2001:db8:5::2.
 */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { guardNamespaces } from "./guard.ts";
import { PATIENCE_MS } from "./wait.ts";

const namespaces = guardNamespaces();
const [near, far] = [`${namespaces.prefix}near`, `${namespaces.prefix}far`];
const child = fileURLToPath(new URL("./platform-linux-child.js", import.meta.url));
const MARK = 0x1234;
const MARKED_SOURCE = "10.77.0.9";
const addresses = { ipv4: "10.77.0.2", ipv6: "fd77::2" } as const;
const families = ["ipv4", "ipv6"] as const;

let server: ChildProcess;

function ip(command: string): void {
  execFileSync("ip", command.split(" "), { stdio: ["ignore", "ignore", "pipe"] });
}

before(async () => {
  for (const namespace of [near, far]) ip(`netns add ${namespace}`);
  // Different interface indexes at the two ends: with equal ones IPv6 is dead for the first second.
  ip(`link add veth0 index 1001 netns ${near} type veth peer name veth0 index 2002 netns ${far}`);
  ip(`-n ${near} address add 10.77.0.1/24 dev veth0`);
  ip(`-n ${near} address add ${MARKED_SOURCE}/24 dev veth0`);
  ip(`-n ${near} address add fd77::1/64 dev veth0 nodad`);
  ip(`-n ${far} address add 10.77.0.2/24 dev veth0`);
  ip(`-n ${far} address add 198.51.100.2/32 dev veth0`);
  ip(`-n ${far} address add fd77::2/64 dev veth0 nodad`);
  ip(`-n ${far} address add 2001:db8:5::2/128 dev veth0 nodad`);
  for (const namespace of [near, far]) {
    ip(`-n ${namespace} link set lo up`);
    ip(`-n ${namespace} link set veth0 up`);
  }
  ip(`-n ${near} rule add fwmark ${MARK} table 100`);
  ip(`-n ${near} route add 198.51.100.0/24 via 10.77.0.2 src ${MARKED_SOURCE} table 100`);
  ip(`-n ${near} -6 rule add fwmark ${MARK} table 100`);
  ip(`-n ${near} -6 route add 2001:db8:5::/64 via fd77::2 table 100`);
  server = await start(far, "serve");
});

after(async () => {
  if (server) await stop(server);
  await namespaces.close();
});

function spawnIn(namespace: string, command: readonly string[]): ChildProcess {
  return spawn("ip", ["netns", "exec", namespace, ...command], { stdio: ["pipe", "pipe", "pipe"] });
}

/** Runs a scenario to its end and returns what it printed; fails when the process does not end by itself. */
async function run<T>(scenario: string, parameters: object = {}): Promise<T> {
  const process_ = spawnIn(near, [process.execPath, "--expose-gc", child, scenario, JSON.stringify(parameters)]);
  const timer = setTimeout(() => process_.kill("SIGKILL"), PATIENCE_MS);
  const output = await collect(process_);
  clearTimeout(timer);
  assert.deepEqual({ status: output.status, stderr: output.stderr }, { status: 0, stderr: "" }, scenario);
  return JSON.parse(output.stdout) as T;
}

async function collect(process_: ChildProcess): Promise<{ status: number | null; stdout: string; stderr: string }> {
  let stdout = "";
  let stderr = "";
  process_.stdout?.on("data", (chunk) => {
    stdout += chunk;
  });
  process_.stderr?.on("data", (chunk) => {
    stderr += chunk;
  });
  const [status] = (await once(process_, "close")) as [number | null];
  return { status, stdout, stderr };
}

/** Starts a scenario that says "ready" and goes on until its input ends. */
async function start(namespace: string, scenario: string, parameters: object = {}): Promise<ChildProcess> {
  // The server sets an option on a socket of Node, whose descriptor has no public name.
  const command = [process.execPath, "--no-deprecation", child, scenario, JSON.stringify(parameters)];
  const process_ = spawnIn(namespace, command);
  process_.stderr?.pipe(process.stderr);
  await once(process_.stdout!, "data");
  return process_;
}

async function stop(process_: ChildProcess): Promise<string> {
  const output = collect(process_);
  process_.stdin?.end();
  return (await output).stdout;
}

/** What tcpdump in the far namespace says about `count` packets that `filter` selects while `action` runs. */
async function capture(filter: string, { count, action }: { count: number; action: () => Promise<unknown> }) {
  const tcpdump = spawnIn(far, `tcpdump --immediate-mode -nvv -i veth0 -c ${count} ${filter}`.split(" "));
  const output = collect(tcpdump);
  // It says that it listens on stderr.
  await once(tcpdump.stderr!, "data");
  await action();
  return (await output).stdout;
}

interface Exchange {
  readonly from: object;
  readonly answer: string;
  readonly realGot: number;
  readonly count: number;
  readonly ms: number;
}

for (const family of families) {
  const to = addresses[family];
  const own = { ipv4: "10.77.0.1", ipv6: "fd77::1" }[family];

  test(`a probe socket sends from and listens beside a port that is in use (${family})`, async (context) => {
    const { ms, ...result } = await run<Exchange>("exchange", { family, to, mark: 0, port: 3478 });
    const from = { family, host: to, port: 3478 };
    assert.deepEqual(result, { from, answer: `ask ${own} 51820`, realGot: 2, count: 1 });
    context.diagnostic(`${family}: ${ms.toFixed(1)} ms`);
  });

  test(`a probe socket's datagrams have a right checksum (${family})`, async () => {
    const packet = family === "ipv4" ? "udp[6:2] != 0 and dst port 3478" : "ip6 and dst port 3478";
    const lines = await capture(packet, {
      count: 1,
      action: () => run("exchange", { family, to, mark: 0, port: 3478 }),
    });
    assert.match(lines, /\[udp sum ok\]/);
  });

  test(`a probe socket delivers nothing after close (${family})`, async () => {
    assert.deepEqual(await run("closeBeforeAnswer", { family, to }), { delivered: 0 });
  });

  test(`a probe socket carries the firewall mark (${family})`, async () => {
    const to = { ipv4: "198.51.100.2", ipv6: "2001:db8:5::2" }[family];
    const { answer } = await run<Exchange>("exchange", { family, to, mark: MARK, port: 3478 });
    assert.equal(answer, `ask ${family === "ipv4" ? MARKED_SOURCE : "fd77::1"} 51820`);
    const at = family === "ipv4" ? to : `[${to}]`;
    const why = family === "ipv4" ? "connect" : "sendmsg";
    const { open, closed, otherFamily } = await run<Record<string, { code: string; text: string }>>("sendFailure", {
      family,
      to,
      mark: 0,
    });
    assert.deepEqual(open, {
      code: "SYSTEM_CALL_FAILED",
      text: `Cannot send a datagram to ${at}:3478: ENETUNREACH (${why}: network is unreachable)`,
    });
    assert.equal(closed?.code, "SYSTEM_CALL_FAILED");
    assert.equal(otherFamily?.code, "RangeError");
  });

  test(`a pinger measures the round trip (${family})`, async (context) => {
    interface Pings {
      readonly answered: number;
      readonly roundTripsMs: readonly number[];
    }
    const { answered, roundTripsMs } = await run<Pings>("ping", { family, interface: "veth0", targets: [to, to, to] });
    assert.equal(answered, 3);
    assert.ok(roundTripsMs.every((ms) => ms > 0));
    context.diagnostic(`${family}: ${roundTripsMs.map((ms) => ms.toFixed(2)).join(", ")} ms`);
    const targets =
      family === "ipv4"
        ? Array.from({ length: 1000 }, (_, index) => `127.10.${index >> 8}.${index & 255 || 1}`)
        : Array.from({ length: 1000 }, () => "::1");
    const burst = await run<Pings>("ping", { family, interface: "lo", targets });
    assert.equal(burst.answered, 1000);
  });

  test(`a pinger counts its requests up and sends right checksums (${family})`, async () => {
    const filter = family === "ipv4" ? "icmp[0] == 8" : "icmp6 and ip6[40] == 128";
    const action = () => run("ping", { family, interface: "veth0", targets: [to, to, to] });
    const lines = await capture(filter, { count: 3, action });
    const sequences = [...lines.matchAll(/seq (\d+)/g)].map(([, sequence]) => Number(sequence));
    const [first = 0] = sequences;
    assert.deepEqual(sequences, [first, (first + 1) % 0x10000, (first + 2) % 0x10000]);
    assert.doesNotMatch(lines, /bad|wrong/);
  });

  test(`a pinger settles a request without answer by time, signal and close (${family})`, async () => {
    interface Dead {
      readonly settled: readonly string[];
      readonly ms: number;
      readonly failures: readonly { readonly code: string }[];
    }
    const dead = { ipv4: "10.77.0.77", ipv6: "fd77::77" }[family];
    const { settled, ms, failures } = await run<Dead>("pingDead", { family, interface: "veth0", to: dead });
    assert.deepEqual(settled, ["undefined", "undefined", "undefined"]);
    assert.ok(ms >= 199, `${ms} ms`);
    assert.deepEqual(
      failures.map(({ code }) => code),
      ["AbortError", "AbortError", "RangeError"],
    );
  });

  test(`a pinger rejects once its interface is gone (${family})`, async () => {
    ip(`-n ${near} link add gone0 type veth peer name gone1`);
    ip(`-n ${near} address add 10.78.0.1/24 dev gone0`);
    ip(`-n ${near} address add fd78::1/64 dev gone0 nodad`);
    for (const name of ["gone0", "gone1"]) ip(`-n ${near} link set ${name} up`);
    const result = await run<Record<string, { readonly code: string; readonly text: string }>>("pingDeleted", {
      family,
      interface: "gone0",
      to: { ipv4: "10.78.0.2", ipv6: "fd78::2" }[family],
      command: ["ip", "link", "delete", "gone0"],
    });
    assert.equal(result.before, "sent");
    assert.equal(result.after?.code, "SYSTEM_CALL_FAILED");
    assert.match(result.after?.text ?? "", /^Cannot ping \S+ through "gone0": E(NODEV|NETUNREACH) \(sendmsg: /);
    assert.equal(
      result.reopened?.text,
      'Cannot open a raw ICMP socket on "gone0": ENODEV (setsockopt SO_BINDTODEVICE "gone0": no such device)',
    );
    assert.equal(result.noName?.code, "SYSTEM_CALL_FAILED");
    assert.equal(result.longName?.code, "SYSTEM_CALL_FAILED");
  });
}

test("a probe socket reads answers with IP options", async () => {
  const { words, text } = await run<{ words: number[]; text: string }>("headerWords", {
    to: addresses.ipv4,
    port: 3479,
  });
  assert.deepEqual(words, [7]);
  assert.equal(text, "10.77.0.1 51820");
});

test("a probe socket follows a change of the source address, with a right checksum", async () => {
  const command = `ip route replace 198.51.100.0/24 via 10.77.0.2 src 10.77.0.1 table 100`.split(" ");
  const lines = await capture("udp[6:2] != 0 and dst port 3478", {
    count: 2,
    async action() {
      const parameters = { family: "ipv4", to: "198.51.100.2", mark: MARK, command };
      const { answers } = await run<{ answers: string[] }>("sendTwice", parameters);
      assert.deepEqual(answers, [`${MARKED_SOURCE} 51820`, "10.77.0.1 51820"]);
    },
  });
  assert.equal(lines.match(/\[udp sum ok\]/g)?.length, 2);
});

test("of 500 sockets opened in a flood none gets a foreign packet", async (context) => {
  const flood = await start(far, "flood", { to: "10.77.0.1" });
  const { foreign, ms, ...result } = await run<{ foreign: number; ms: number }>("openInFlood", {
    count: 500,
    to: addresses.ipv4,
  });
  await stop(flood);
  assert.deepEqual(result, { passed: 0, answered: 1 });
  assert.ok(foreign > 500, `${foreign} foreign datagrams came`);
  context.diagnostic(`${foreign} foreign datagrams came in ${ms.toFixed(0)} ms`);
});

test("opening and closing 1,000 times leaves no descriptor and no memory behind", async (context) => {
  const growth = await run<Record<"descriptors" | "heapBytes" | "residentBytes", number>>("cycles", { count: 1000 });
  assert.equal(growth.descriptors, 0);
  assert.ok(growth.heapBytes < 1e6, `${growth.heapBytes} bytes`);
  // V8 takes memory in large steps; 1,000 lost sockets of 4 kB and more would show in the heap, lost handles here.
  assert.ok(growth.residentBytes < 30e6, `${growth.residentBytes} bytes`);
  context.diagnostic(`the second 1,000: heap ${growth.heapBytes} bytes, resident ${growth.residentBytes} bytes`);
});

test("the event loop stays free while sockets wait", async (context) => {
  const { ms, idleCpuMs } = await run<{ ms: number; idleCpuMs: number }>("responsive");
  assert.ok(idleCpuMs < 150, `${idleCpuMs} ms of processor time in 500 ms`);
  context.diagnostic(`200 reads ${ms.toFixed(0)} ms, idle ${idleCpuMs.toFixed(1)} ms of 500`);
});
