/** The addresses of this host and of one WireGuard interface, as the system says now. */
import { type NetworkInterfaceInfo, networkInterfaces } from "node:os";
import { type Family, formatIp, parseIp } from "./address.ts";
import type { Clock } from "./clock.ts";
import { StunmeshError } from "./errors.ts";
import type { HostAddresses } from "./provoke-target.ts";

/** How long they are believed: a thousand peers ask at the same moment. */
const MAX_AGE_MS = 1_000;

/** `tunnel` says what the system calls the interface. Where the system does not tell, no address is known. */
export function createHostAddresses(options: {
  readonly clock: Clock;
  tunnel(): string;
  readonly read?: () => NodeJS.Dict<readonly Pick<NetworkInterfaceInfo, "address">[]>;
}): () => HostAddresses {
  const { clock, tunnel, read = networkInterfaces } = options;
  let known: { readonly addresses: HostAddresses; readonly atMs: number } | undefined;

  function readAddresses(): HostAddresses {
    try {
      const interfaces = Object.entries(read()).map(([name, entries = []]) => ({
        name,
        addresses: entries.flatMap(({ address }) => canonical(address) ?? []),
      }));
      return {
        tunnel: interfaces.filter(({ name }) => name === tunnel()).flatMap(({ addresses }) => addresses),
        all: interfaces.flatMap(({ addresses }) => addresses),
      };
    } catch {
      // A sandbox may forbid it. Then the packet is sent as well as can be.
      return { tunnel: [], all: [] };
    }
  }

  return () => {
    const nowMs = clock.monotonic();
    if (!known || nowMs - known.atMs >= MAX_AGE_MS) known = { addresses: readAddresses(), atMs: nowMs };
    return known.addresses;
  };
}

function canonical(address: string): string | undefined {
  const ip = parseIp(address);
  return ip && formatIp(ip);
}

/** Says at once what would else be found out by waiting: a host without any address of a family cannot send in it. */
export function assertFamily(family: Family, tunnel: string): void {
  const missing = whyNoFamily(family, tunnel);
  if (missing !== undefined) throw new StunmeshError("STUN_NOT_SENT", `Cannot discover: ${missing}`);
}

/** Why this host cannot send in a family at all; undefined when it has an address there, whatever its routes are. */
export function whyNoFamily(family: Family, tunnel: string): string | undefined {
  if (localAddresses(tunnel).some((address) => address.includes(":") === (family === "ipv6"))) return undefined;
  // Node sees only interfaces that are up and have a carrier, so this is all that can be said.
  const name = family === "ipv4" ? "IPv4" : "IPv6";
  return `no interface that is up and connected has an ${name} address (the tunnel's, loopback and link-local ones do not count)`;
}

/** Addresses of the tunnel on this host, as canonical literals without a zone. */
export function addressesOf(tunnel: string): readonly string[] {
  return (networkInterfaces()[tunnel] ?? []).map(({ address }) => address);
}

/**
 * Addresses of this host that other hosts may see: not of the tunnel itself, not loopback, not link-local. One that was given
 * to the loopback interface counts, as routers have it.
 */
export function localAddresses(tunnel: string): readonly string[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    name === tunnel
      ? []
      : addresses.flatMap(({ address }) => (/^(127\.|::1$|fe[89ab])/i.test(address) ? [] : [address])),
  );
}
