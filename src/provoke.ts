/**
 * Makes WireGuard send: one ICMP echo request through the tunnel. WireGuard sends nothing by itself when an endpoint
 * changes, and the NAT on this side opens only for what goes out.
 */
import type { Family } from "./address.ts";
import { parseIp } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { Pinger } from "./platform/types.ts";

/** How long an answer is waited for: long enough for a handshake and a round trip, and no more than that. */
const ANSWER_TIMEOUT_MS = 2_000;

/** Addresses of documentation (RFC 5737, RFC 3849): for a peer that takes everything and names no address of its own. */
const ANY_TARGET: Readonly<Record<Family, string>> = { ipv4: "192.0.2.1", ipv6: "2001:db8::1" };

/**
 * Chooses what to ping so that the packet goes to the peer: its ping target if that is an address the peer may have, else
 * the first allowed host address, else the first host of the first allowed network; undefined when nothing is allowed.
 */
export function selectProvokeTarget(
  pingTarget: string | undefined,
  allowedIps: readonly string[],
): { readonly family: Family; readonly target: string } | undefined {
  const networks = allowedIps.flatMap((text) => parseNetwork(text) ?? []);
  const asAddress = pingTarget === undefined ? undefined : parseIp(pingTarget);
  if (pingTarget !== undefined && asAddress && networks.some((network) => contains(network, asAddress))) {
    return { family: familyOf(asAddress), target: pingTarget };
  }
  const host = networks.find(({ bytes, prefix }) => prefix === bytes.length * 8);
  const network = host ?? networks.find(({ prefix }) => prefix > 0) ?? networks[0];
  if (!network) return undefined;
  const family = familyOf(network.bytes);
  if (network.prefix === 0) return { family, target: ANY_TARGET[family] };
  return { family, target: host ? network.host : firstHost(network) };
}

interface Network {
  readonly host: string;
  readonly bytes: Uint8Array;
  readonly prefix: number;
}

function parseNetwork(text: string): Network | undefined {
  const [host = "", prefix = ""] = text.split("/");
  const bytes = parseIp(host);
  return bytes && /^\d{1,3}$/.test(prefix) ? { host, bytes, prefix: Number(prefix) } : undefined;
}

function contains({ bytes, prefix }: Network, address: Uint8Array): boolean {
  if (bytes.length !== address.length) return false;
  return bytes.every((byte, index) => {
    const bits = Math.min(8, Math.max(0, prefix - index * 8));
    const mask = 0xff & (0xff << (8 - bits));
    return ((byte ^ (address[index] ?? 0)) & mask) === 0;
  });
}

/** The first host of a network: its address plus one. A network's address never ends in all ones, so nothing carries. */
function firstHost({ host, bytes }: Network): string {
  if (bytes.length === 4) return [...bytes.subarray(0, 3), (bytes[3] ?? 0) | 1].join(".");
  return host.endsWith("::") ? `${host}1` : host;
}

function familyOf(bytes: Uint8Array): Family {
  return bytes.length === 4 ? "ipv4" : "ipv6";
}

export interface Provoker {
  /**
   * Sends one echo request; resolves with the round-trip time in ms, or undefined when nothing came back in `timeoutMs`.
   * Rejects when it could not be sent.
   * @default timeoutMs 2000
   */
  provoke(
    request: { readonly family: Family; readonly target: string; readonly timeoutMs?: number },
    signal: AbortSignal,
  ): Promise<number | undefined>;
}

/** How long a socket waits for the next request. Opening one takes more work than a hundred pings. */
const LINGER_MS = 10_000;

interface Shared {
  readonly pinger: Promise<Pinger>;
  users: number;
  wasUsed: boolean;
}

/**
 * A provoker for one WireGuard interface. All requests of a family share one socket, which is closed when none came for a
 * while. After a request that failed or was not answered the next one opens another: the interface may be a new one.
 */
export function createProvoker(options: {
  /** Opens a pinger of the interface as it is called at that moment. */
  openPinger(family: Family): Promise<Pinger>;
  readonly clock: Clock;
}): Provoker {
  const open = new Map<Family, Shared>();

  function share(family: Family): Shared {
    const known = open.get(family);
    if (known) return known;
    const shared = { pinger: options.openPinger(family), users: 0, wasUsed: true };
    open.set(family, shared);
    void giveUpWhenIdle(family, shared);
    return shared;
  }

  async function giveUpWhenIdle(family: Family, shared: Shared): Promise<void> {
    while (shared.wasUsed || shared.users > 0) {
      shared.wasUsed = false;
      await options.clock.sleep(LINGER_MS);
      if (open.get(family) !== shared) return;
    }
    open.delete(family);
    await closePinger(shared);
  }

  return {
    async provoke({ family, target, timeoutMs = ANSWER_TIMEOUT_MS }, signal) {
      const shared = share(family);
      shared.users++;
      shared.wasUsed = true;
      let isGood = false;
      try {
        const pinger = await shared.pinger;
        const rttMs = await pinger.ping(target, { timeoutMs, signal });
        isGood = rttMs !== undefined;
        return rttMs;
      } finally {
        shared.users--;
        if (!isGood && open.get(family) === shared) open.delete(family);
        if (shared.users === 0 && open.get(family) !== shared) await closePinger(shared);
      }
    },
  };
}

async function closePinger({ pinger }: Shared): Promise<void> {
  await pinger.then(
    (opened) => opened.close(),
    // It was never open; who asked for it was told.
    () => undefined,
  );
}
