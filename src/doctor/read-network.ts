/**
 * Reads the network around an interface: by which interface packets would leave, how large they may be, and Linux's reverse
 * path filter. Sends nothing.
 */
import { createSocket } from "node:dgram";
import { readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { formatTransportAddress, type TransportAddress } from "../address.ts";
import type { DeviceFacts } from "./facts.ts";

const SYSCTL = "/proc/sys/net";

/** The part of the facts that is about the network; `destinations` should be reached without the tunnel, best first. */
export async function readNetwork(
  tunnel: string,
  destinations: readonly TransportAddress[],
): Promise<Pick<DeviceFacts, "tunnelMtu" | "uplink" | "throughTunnel" | "isReversePathStrict">> {
  const ways = await Promise.all(destinations.map(async (to) => ({ to, by: interfaceOf(await readSource(to)) })));
  const uplink = ways.find(({ by }) => by !== undefined && by !== tunnel)?.by;
  return {
    tunnelMtu: await readMtu(tunnel),
    uplink: uplink === undefined ? undefined : { name: uplink, mtu: await readMtu(uplink) },
    throughTunnel: ways.filter(({ by }) => by === tunnel).map(({ to }) => formatTransportAddress(to)),
    isReversePathStrict: uplink === undefined ? undefined : await readReversePath(uplink),
  };
}

/** The address an unmarked datagram to `to` would leave from; undefined without a route. "Connecting" sends nothing. */
function readSource({ family, host, port }: TransportAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(family === "ipv4" ? "udp4" : "udp6");
    const finish = (address: string | undefined) => {
      socket.close();
      resolve(address);
    };
    socket.once("error", () => finish(undefined));
    socket.connect(port, host, () => finish(socket.address().address));
  });
}

function interfaceOf(address: string | undefined): string | undefined {
  if (address === undefined) return undefined;
  return Object.entries(networkInterfaces()).find(([, own = []]) => own.some((one) => one.address === address))?.[0];
}

/**
 * From IPv6's setting, which is that of the interface unless a router announced less. Unlike /sys, /proc is that of the
 * network namespace this process is in.
 */
function readMtu(name: string): Promise<number | undefined> {
  return readNumber(`${SYSCTL}/ipv6/conf/${name}/mtu`);
}

/** The larger of both values counts (ip-sysctl of the kernel's documentation). */
async function readReversePath(name: string): Promise<boolean | undefined> {
  const values = await Promise.all(["all", name].map((one) => readNumber(`${SYSCTL}/ipv4/conf/${one}/rp_filter`)));
  const looksAtMarks = await readNumber(`${SYSCTL}/ipv4/conf/all/src_valid_mark`);
  if (values.some((value) => value === undefined)) return undefined;
  return Math.max(...values.map((value) => value ?? 0)) === 1 && looksAtMarks !== 1;
}

async function readNumber(path: string): Promise<number | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  return text === undefined || !/^\d+\s*$/.test(text) ? undefined : Number(text);
}
