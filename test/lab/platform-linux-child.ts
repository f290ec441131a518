/**
 * Runs one scenario of platform-linux.test.ts inside a network namespace: `node platform-linux-child.js <scenario> <JSON>`.
 * Prints its result as JSON. Ends by itself when everything is closed: a scenario that does not is a fault of the platform.
 */
import { execFileSync } from "node:child_process";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once, setMaxListeners } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { type Family, type TransportAddress, transportAddress } from "../../src/address.ts";
import { systemClock } from "../../src/clock.ts";
import { describeError, errorCode } from "../../src/errors.ts";
import { udpOverIpv4 } from "../../src/platform/bpf.ts";
import { openPlatform } from "../../src/platform/index.ts";
import { openRawSocket } from "../../src/platform/linux/raw-socket.ts";
import { loadLibc } from "../../src/platform/native/libc.ts";
import type { Datagram, Pinger } from "../../src/platform/types.ts";
import { PATIENCE_MS } from "./wait.ts";

const WORD = 0x2112a442;
const match = { offset: 4, value: WORD };
const LOCAL_PORT = 51820;
const IP_OPTIONS = { level: 0, option: 4, name: "IP_OPTIONS", value: Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1) };

interface Parameters {
  readonly family: Family;
  readonly to: string;
  readonly mark: number;
  readonly count: number;
  readonly port: number;
  readonly interface: string;
  readonly targets: readonly string[];
  readonly command: readonly string[];
}

const platform = await openPlatform({ clock: systemClock });

function request(text = ""): Uint8Array {
  const head = Buffer.alloc(8);
  head.writeUInt32BE(WORD, 4);
  return Buffer.concat([head, Buffer.from(text)]);
}

async function bindUdp(family: Family, port: number): Promise<Socket> {
  const socket = createSocket({ type: family === "ipv4" ? "udp4" : "udp6", ipv6Only: family === "ipv6" }).bind(port);
  await once(socket, "listening");
  return socket;
}

function descriptorOf(socket: Socket): number {
  return (socket as unknown as { readonly _handle: { readonly fd: number } })._handle.fd;
}

/** Opens a probe socket that keeps what it gets; `next()` waits for one more. */
async function openProbe(family: Family, mark = 0) {
  const datagrams: Datagram[] = [];
  const arrived = new EventTarget();
  const socket = await platform.openProbeSocket({
    family,
    localPort: LOCAL_PORT,
    firewallMark: mark,
    capture: "auto",
    interfaces: [],
    listenDefaultRoute: false,
    excludeInterface: "wg0",
    match,
    onDatagram(datagram) {
      datagrams.push(datagram);
      arrived.dispatchEvent(new Event("arrived"));
    },
  });
  return {
    ...socket,
    datagrams,
    next: () => once(arrived, "arrived", { signal: AbortSignal.timeout(PATIENCE_MS) }),
  };
}

function address(host: string, port = 3478): TransportAddress {
  const result = transportAddress(host, port);
  if (!result) throw new Error(`"${host}" is no address`);
  return result;
}

async function failure(promise: Promise<unknown>): Promise<{ code: string; text: string } | undefined> {
  return promise.then(
    () => undefined,
    (error: unknown) => ({ code: errorCode(error) ?? (error as Error).name, text: describeError(error) }),
  );
}

/** How many UDP datagrams have come to this network namespace (proc_net_snmp: InDatagrams and NoPorts). */
function readUdpReceived(): number {
  const line = readFileSync("/proc/net/snmp", "utf8").match(/^Udp: (\d+) (\d+)/m);
  return Number(line?.[1]) + Number(line?.[2]);
}

/** What is held after everything that can be collected was. */
function measure() {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { descriptors: readdirSync("/proc/self/fd").length, heapBytes: heapUsed + external, residentBytes: rss };
}

async function untilInputEnds(): Promise<void> {
  process.stdin.resume();
  await once(process.stdin, "end");
}

const scenarios: Record<string, (parameters: Parameters) => Promise<unknown>> = {
  /** Answers every datagram twice: with another word, then with the request and where it came from. */
  async serve() {
    const libc = await loadLibc();
    const servers = await Promise.all([bindUdp("ipv4", 3478), bindUdp("ipv6", 3478), bindUdp("ipv4", 3479)]);
    libc.setsockopt(descriptorOf(servers[2]!), IP_OPTIONS);
    for (const server of servers) {
      server.on("message", (message, { address, port }: RemoteInfo) => {
        server.send("none of your words", port, address);
        server.send(Buffer.concat([message, Buffer.from(`${address} ${port}`)]), port, address);
      });
    }
    process.stdout.write("ready\n");
    await untilInputEnds();
    for (const server of servers) server.close();
  },

  /** Sends datagrams nobody asked for as fast as it can: to the right port, with another word. */
  async flood({ to }) {
    const socket = await bindUdp("ipv4", 0);
    socket.connect(LOCAL_PORT, to);
    await once(socket, "connect");
    const foreign = Buffer.from("foreign foreign foreign");
    let isRunning = true;
    // Nobody is on the port: the ICMP errors that come back are as good as the flood.
    socket.on("error", () => undefined);
    function burst() {
      if (!isRunning) return;
      for (let count = 0; count < 100; count++) socket.send(foreign);
      setImmediate(burst);
    }
    burst();
    process.stdout.write("ready\n");
    await untilInputEnds();
    isRunning = false;
    socket.close();
  },

  async exchange({ family, to, mark, port }) {
    const real = await bindUdp(family, LOCAL_PORT);
    const realGot: string[] = [];
    real.on("message", (message) => realGot.push(message.toString("latin1")));
    const probe = await openProbe(family, mark);
    const startMs = systemClock.monotonic();
    const [, { from, payload }] = await Promise.all([
      probe.send(request("ask "), address(to, port)),
      probe.next().then(() => probe.datagrams[0]!),
    ]);
    const ms = systemClock.monotonic() - startMs;
    while (realGot.length < 2) await once(real, "message");
    await probe.close();
    real.close();
    const count = probe.datagrams.length;
    return { from, answer: Buffer.from(payload.subarray(8)).toString(), realGot: realGot.length, count, ms };
  },

  /** How long the IP headers of the answers are, in words. */
  async headerWords({ to, port }) {
    const real = await bindUdp("ipv4", LOCAL_PORT);
    const words: number[] = [];
    const probe = await openProbe("ipv4");
    const raw = await openRawSocket({
      family: "ipv4",
      protocol: 17,
      action: "look",
      filter: udpOverIpv4({ port: LOCAL_PORT, ...match }),
      clock: systemClock,
      onPacket: ({ bytes }) => words.push(bytes[0]! & 0x0f),
    });
    const [text] = await Promise.all([
      probe.next().then(() => Buffer.from(probe.datagrams[0]!.payload.subarray(8)).toString()),
      probe.send(request(), address(to, port)),
    ]);
    while (words.length === 0) await new Promise(setImmediate);
    raw.close();
    await probe.close();
    real.close();
    return { words, text };
  },

  /** Sends, changes something, sends again on the same socket. */
  async sendTwice({ family, to, mark, command }) {
    const probe = await openProbe(family, mark);
    const answers: string[] = [];
    for (let count = 0; count < 2; count++) {
      await Promise.all([probe.next(), probe.send(request(), address(to))]);
      answers.push(Buffer.from(probe.datagrams[count]!.payload.subarray(8)).toString());
      if (count === 0) execFileSync(command[0]!, command.slice(1));
    }
    await probe.close();
    return { answers };
  },

  async sendFailure({ family, to, mark }) {
    const probe = await openProbe(family, mark);
    const open = await failure(probe.send(request(), address(to)));
    await probe.close();
    await probe.close();
    const closed = await failure(probe.send(request(), address(to)));
    const otherFamily = await failure(probe.send(request(), address(family === "ipv4" ? "::1" : "127.0.0.1")));
    return { open, closed, otherFamily };
  },

  /** The answer reaches the port's own socket after the probe socket was closed. */
  async closeBeforeAnswer({ family, to }) {
    const real = await bindUdp(family, LOCAL_PORT);
    const probe = await openProbe(family);
    const answered = once(real, "message");
    await probe.send(request(), address(to));
    await probe.close();
    await answered;
    await once(real, "message");
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate);
    real.close();
    return { delivered: probe.datagrams.length };
  },

  /** Opens raw sockets in a flood, counting everything that passes the filter before it is matched again. */
  async openInFlood({ count, to }) {
    let passed = 0;
    const before = readUdpReceived();
    const startMs = systemClock.monotonic();
    // A busy machine may not let the flood run for some rounds.
    for (let round = 0; round < count || readUdpReceived() - before <= count; round++) {
      const raw = await openRawSocket({
        family: "ipv4",
        protocol: 17,
        action: "count",
        filter: udpOverIpv4({ port: LOCAL_PORT, ...match }),
        clock: systemClock,
        onPacket: () => passed++,
      });
      const probe = await openProbe("ipv4");
      // What is queued is read in the loop's next turn and handed over at its end.
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
      passed += probe.datagrams.length;
      raw.close();
      await probe.close();
    }
    const foreign = readUdpReceived() - before;
    const ms = systemClock.monotonic() - startMs;
    const probe = await openProbe("ipv4");
    await Promise.all([probe.next(), probe.send(request(), address(to))]);
    await probe.close();
    return { foreign, ms, passed, answered: probe.datagrams.length };
  },

  async cycles({ count }) {
    async function openAndClose(times: number) {
      for (let round = 0; round < times; round++) {
        const family = round % 2 === 0 ? "ipv4" : "ipv6";
        const probe = await openProbe(family);
        const pinger = await platform.openPinger({ family, interface: "lo" });
        await pinger.ping(family === "ipv4" ? "127.0.0.1" : "::1", {
          timeoutMs: PATIENCE_MS,
          signal: new AbortController().signal,
        });
        await pinger.close();
        await probe.close();
      }
    }
    await openAndClose(count);
    const before = measure();
    await openAndClose(count);
    const after = measure();
    return {
      descriptors: after.descriptors - before.descriptors,
      heapBytes: after.heapBytes - before.heapBytes,
      residentBytes: after.residentBytes - before.residentBytes,
    };
  },

  /** Uses Node's thread pool and timers while sockets wait. */
  async responsive() {
    const probes = await Promise.all(
      ["ipv4", "ipv6", "ipv4", "ipv6", "ipv4", "ipv6"].map((f) => openProbe(f as Family)),
    );
    const startMs = systemClock.monotonic();
    for (let count = 0; count < 200; count++) await readFile("/proc/self/stat");
    const ms = systemClock.monotonic() - startMs;
    const cpu = process.cpuUsage();
    await systemClock.sleep(500);
    const { user, system } = process.cpuUsage(cpu);
    for (const probe of probes) await probe.close();
    return { ms, idleCpuMs: (user + system) / 1000 };
  },

  async ping({ family, targets, ...parameters }) {
    const { signal } = new AbortController();
    // Else Node warns that so many listen to one signal.
    setMaxListeners(0, signal);
    const pinger = await platform.openPinger({ family, interface: parameters.interface });
    const roundTripsMs = await Promise.all(
      targets.map((target) => pinger.ping(target, { timeoutMs: PATIENCE_MS, signal })),
    );
    await pinger.close();
    return { answered: roundTripsMs.filter((ms) => ms !== undefined).length, roundTripsMs };
  },

  /** A target that is not there: by time, by signal, by close(), and after it. */
  async pingDead({ family, to, ...parameters }) {
    const pinger = await platform.openPinger({ family, interface: parameters.interface });
    const startMs = systemClock.monotonic();
    const timedOut = await pinger.ping(to, { timeoutMs: 200, signal: new AbortController().signal });
    const ms = systemClock.monotonic() - startMs;
    const abort = new AbortController();
    const aborted = failure(pinger.ping(to, { timeoutMs: 60_000, signal: abort.signal }));
    abort.abort();
    const abortedBefore = failure(pinger.ping(to, { timeoutMs: 60_000, signal: abort.signal }));
    const outstanding = pinger.ping(to, { timeoutMs: 60_000, signal: new AbortController().signal });
    const notAnAddress = failure(pinger.ping("wg0", { timeoutMs: 1, signal: new AbortController().signal }));
    await pinger.close();
    const closed = await outstanding;
    const afterwards = await pinger.ping(to, { timeoutMs: 60_000, signal: new AbortController().signal });
    return {
      settled: [timedOut, closed, afterwards].map((value) => value ?? "undefined"),
      ms,
      failures: [await aborted, await abortedBefore, await notAnAddress],
    };
  },

  /** The interface disappears under the pinger; another one of the same name does not bring it back. */
  async pingDeleted({ family, to, command, ...parameters }) {
    const { signal } = new AbortController();
    const ping = (pinger: Pinger) => failure(pinger.ping(to, { timeoutMs: 100, signal }));
    const pinger = await platform.openPinger({ family, interface: parameters.interface });
    const before = await ping(pinger);
    execFileSync(command[0]!, command.slice(1));
    const after = await ping(pinger);
    await pinger.close();
    const reopened = await failure(platform.openPinger({ family, interface: parameters.interface }));
    const noName = await failure(platform.openPinger({ family, interface: "" }));
    const longName = await failure(platform.openPinger({ family, interface: "a-name-of-16-chr" }));
    return { before: before ?? "sent", after, reopened, noName, longName };
  },
};

const [name = "", parameters = "{}"] = process.argv.slice(2);
const result = await scenarios[name]!(JSON.parse(parameters) as Parameters);
process.stdout.write(`${JSON.stringify(result ?? {})}\n`);
