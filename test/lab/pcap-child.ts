/**
 * Runs one scenario of pcap.test.ts inside a network namespace: `node pcap-child.js <scenario> <JSON>`. Prints its result as
 * JSON. Ends by itself when everything is closed: a scenario that does not is a fault of the capture.
 */
import { execFileSync } from "node:child_process";
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { type Family, transportAddress } from "../../src/address.ts";
import { systemClock } from "../../src/clock.ts";
import { describeError, errorCode } from "../../src/errors.ts";
import { openPlatform } from "../../src/platform/index.ts";
import { loadKoffi } from "../../src/platform/native/koffi.ts";
import { loadLibc } from "../../src/platform/native/libc.ts";
import { loadLibpcap } from "../../src/platform/native/libpcap.ts";
import { loadReadInterfaces } from "../../src/platform/native/network-interfaces.ts";
import { openPcapHandle } from "../../src/platform/native/pcap-handle.ts";
import { openCapture } from "../../src/platform/pcap/capture.ts";
import type { Datagram, ProbeSocketOptions } from "../../src/platform/types.ts";
import { discover } from "../../src/stun/discover.ts";
import { stunMatch } from "../../src/stun/message.ts";
import { encodeMessage, encodeXorAddress } from "../fakes/stun-message.ts";
import { PATIENCE_MS, waitFor } from "./wait.ts";

const LOCAL_PORT = 51820;
const SERVER_PORT = 3478;

const AF_PACKET = 17;
const SOCK_RAW = 3;

interface Parameters {
  readonly family: Family;
  readonly to: string;
  readonly dead: string;
  readonly count: number;
  readonly options: Partial<ProbeSocketOptions>;
  /** Interfaces, or addresses to take for this host's own. */
  readonly names: readonly string[];
  readonly own: readonly number[];
  /** Hexadecimal. */
  readonly frames: readonly string[];
  readonly commands: readonly (readonly string[])[];
}

const platform = await openPlatform({ clock: systemClock });

function request(): Uint8Array {
  const message = Buffer.alloc(20);
  message.writeUInt32BE(stunMatch.value, stunMatch.offset);
  return message;
}

function run(commands: readonly (readonly string[])[]): void {
  for (const [command = "", ...args] of commands) execFileSync(command, args);
}

function options(family: Family, given: Partial<ProbeSocketOptions> = {}): Omit<ProbeSocketOptions, "onDatagram"> {
  return {
    family,
    localPort: LOCAL_PORT,
    firewallMark: 0,
    capture: "pcap",
    interfaces: [],
    listenDefaultRoute: false,
    excludeInterface: "wg0",
    match: stunMatch,
    ...given,
  };
}

/** Opens a probe socket that keeps what it gets and what it skips. */
async function openProbe(family: Family, given?: Partial<ProbeSocketOptions>) {
  const datagrams: Datagram[] = [];
  const skipped: { readonly interface: string; readonly reason: string }[] = [];
  const beganMs = systemClock.monotonic();
  const socket = await platform.openProbeSocket({
    ...options(family, given),
    onDatagram: (datagram) => datagrams.push(datagram),
    onSkipped: (one) => skipped.push(one),
  });
  const openMs = systemClock.monotonic() - beganMs;
  return { ...socket, datagrams, skipped, openMs };
}

/** Sends requests until one is answered; resolves with the time since the first in milliseconds, or undefined. */
async function exchange(probe: Awaited<ReturnType<typeof openProbe>>, to: string): Promise<number | undefined> {
  const had = probe.datagrams.length;
  const beganMs = systemClock.monotonic();
  for (const endMs = beganMs + PATIENCE_MS; systemClock.monotonic() < endMs; ) {
    await probe.send(request(), transportAddress(to, SERVER_PORT)!);
    const what = "an answer";
    const isThere = () => probe.datagrams.length > had;
    const isAnswered = await waitFor(isThere, { what, timeoutMs: 400, everyMs: 1 }).catch(() => false);
    if (isAnswered) return systemClock.monotonic() - beganMs;
  }
  return undefined;
}

async function bind(family: Family, port: number, host?: string): Promise<Socket> {
  const type = family === "ipv4" ? "udp4" : "udp6";
  const socket = createSocket({ type, ipv6Only: family === "ipv6" }).bind(port, host);
  await once(socket, "listening");
  return socket;
}

/** How many descriptors there are once the handles that close in the background are closed. */
async function countDescriptors(): Promise<number> {
  let before = -1;
  return waitFor(
    () => {
      const now = readdirSync("/proc/self/fd").length;
      const isSettled = now === before;
      before = now;
      return isSettled && now;
    },
    { what: "descriptors that stay", everyMs: 200 },
  );
}

/** What is held after everything that can be collected was. */
function measureMemory() {
  globalThis.gc?.();
  const { rss, heapUsed, external } = process.memoryUsage();
  return { heapBytes: heapUsed + external, residentBytes: rss };
}

const scenarios: Record<string, (parameters: Parameters) => Promise<unknown>> = {
  /** A STUN server at each of two addresses, until it is told to end. */
  async serve({ names: [ipv4, ipv6] }) {
    const servers = await Promise.all([bind("ipv4", SERVER_PORT, ipv4), bind("ipv6", SERVER_PORT, ipv6)]);
    for (const server of servers) {
      server.on("message", (message, { address, port }: RemoteInfo) => {
        const transactionId = message.subarray(8, 20);
        const attributes = [encodeXorAddress({ host: address, port }, transactionId)];
        server.send(encodeMessage({ type: 0x0101, transactionId, attributes }), port, address);
      });
    }
    process.stdout.write("ready\n");
    await once(process, "SIGTERM");
    for (const server of servers) server.close();
  },

  /** Sends frames, link-layer header first, by one interface. */
  async inject({ names: [name = ""], frames }) {
    const libc = await loadLibc();
    const fd = libc.socket({ domain: AF_PACKET, type: SOCK_RAW, protocol: 0 });
    // struct sockaddr_ll { u16 family, protocol; int index; u16 type; u8 packet type, address length; u8 address[8] }
    const address = new Uint8Array(20);
    new Uint16Array(address.buffer).set([AF_PACKET]);
    new Int32Array(address.buffer).set([Number(readFileSync(`/sys/class/net/${name}/ifindex`, "utf8"))], 1);
    for (const frame of frames) libc.send(fd, { bytes: Buffer.from(frame, "hex"), address });
    libc.close(fd);
  },

  /** Counts what is delivered of what `commands` make others send. */
  async collect({ family, options: given, commands, count }) {
    const probe = await openProbe(family, given);
    run(commands);
    await waitFor(() => probe.datagrams.length >= count, { what: `${count} datagrams` });
    await probe.close();
    return { delivered: probe.datagrams.length };
  },

  /** One answered request on a socket of its own: what a machine behind this router does. */
  async ask({ to }) {
    const socket = await bind("ipv4", LOCAL_PORT);
    const answered = once(socket, "message");
    socket.send(request(), SERVER_PORT, to);
    await answered;
    socket.close();
  },

  async exchange({ family, to, options: given }) {
    const probe = await openProbe(family, given);
    const before = process.cpuUsage();
    await systemClock.sleep(200);
    const { user, system } = process.cpuUsage(before);
    const ms = await exchange(probe, to);
    const closingMs = systemClock.monotonic();
    await probe.close();
    const closeMs = systemClock.monotonic() - closingMs;
    await probe.close();
    const afterwards = await probe.send(request(), transportAddress(to, SERVER_PORT)!).catch(describeError);
    const { datagrams, skipped, openMs } = probe;
    return { ms, from: datagrams[0]?.from, skipped, openMs, closeMs, idleMs: (user + system) / 1000, afterwards };
  },

  async discover({ family, to, dead }) {
    const beganMs = systemClock.monotonic();
    const found = await discover({
      servers: [dead, to].map((host) => ({ host, port: SERVER_PORT })),
      family,
      openSocket: (onDatagram) => platform.openProbeSocket({ ...options(family), onDatagram }),
      resolve: async (host) => [host],
      clock: systemClock,
      signal: new AbortController().signal,
    });
    return { ms: systemClock.monotonic() - beganMs, address: found.address, server: found.server.host };
  },

  /** Opens only: why it does not work. */
  async failure({ family, options: given }) {
    try {
      await (await openProbe(family, given)).close();
      return { code: "none" };
    } catch (error) {
      return { code: errorCode(error), text: describeError(error) };
    }
  },

  /**
   * Listens on `names` while `commands` make others exchange something, then exchanges something itself. With `own` that
   * address is taken for one of this host's.
   */
  async router({ to, names, own, commands }) {
    const [koffi, libpcap, readInterfaces] = [
      await loadKoffi(),
      await loadLibpcap("linux"),
      await loadReadInterfaces("linux"),
    ];
    const sender = await openProbe("ipv4");
    const delivered: Datagram[] = [];
    const capture = await openCapture(
      {
        family: "ipv4",
        localPort: LOCAL_PORT,
        match: stunMatch,
        names,
        areNamed: true,
        onDatagram: (datagram) => delivered.push(datagram),
        onSkipped: () => undefined,
      },
      {
        clock: systemClock,
        openHandle: (name) => openPcapHandle(name, { koffi, libpcap, system: "linux", clock: systemClock }),
        readInterfaces: () => [
          ...readInterfaces(),
          { name: "borrowed", isUp: true, isLoopback: false, addresses: own.length ? [Uint8Array.from(own)] : [] },
        ],
      },
    );
    run(commands);
    // The answer to this one comes after those to the others.
    await exchange(sender, to);
    await waitFor(() => delivered.length > 0, { what: "our own answer" });
    capture.close();
    await sender.close();
    return { delivered: delivered.length };
  },

  /** Things happen to interfaces while it listens on all of them; it works before, between and afterwards. */
  async changes({ to, commands }) {
    const probe = await openProbe("ipv4");
    const works: boolean[] = [(await exchange(probe, to)) !== undefined];
    for (const command of commands) {
      run([command]);
      works.push((await exchange(probe, to)) !== undefined);
    }
    const { skipped } = probe;
    const cpu = process.cpuUsage();
    await systemClock.sleep(300);
    const { user, system } = process.cpuUsage(cpu);
    await probe.close();
    return { works, skipped, idleMs: (user + system) / 1000 };
  },

  /** An address that came after the socket was opened is ours as well. */
  async newAddress({ to, commands }) {
    const probe = await openProbe("ipv4");
    run(commands);
    const ms = await exchange(probe, to);
    await probe.close();
    return { answered: ms !== undefined };
  },

  async cycles({ count, names }) {
    async function openAndClose(times: number) {
      for (let round = 0; round < times; round++) {
        const probe = await openProbe(round % 2 === 0 ? "ipv4" : "ipv6", { interfaces: names });
        await probe.close();
      }
    }
    await openAndClose(Math.max(20, count / 5));
    const descriptors = await countDescriptors();
    const before = measureMemory();
    const beganMs = systemClock.monotonic();
    await openAndClose(count);
    const ms = systemClock.monotonic() - beganMs;
    const after = { ...measureMemory(), descriptors: await countDescriptors() };
    return {
      descriptors: after.descriptors - descriptors,
      heapBytes: after.heapBytes - before.heapBytes,
      residentBytes: after.residentBytes - before.residentBytes,
      ms,
    };
  },
};

const [name = "", parameters = "{}"] = process.argv.slice(2);
const result = await scenarios[name]!(JSON.parse(parameters) as Parameters);
process.stdout.write(`${JSON.stringify(result ?? {})}\n`);
