/**
 * The interface of the default route, from the kernel's text files; reading them needs no privilege.
 *
 * A route without a gateway counts as well (PPPoE, LTE). The IPv6 file holds the routes of all tables, also that of
 * wg-quick's by which everything goes through the tunnel: the tunnel is never the answer. proc_net(5).
 */
import { readFile } from "node:fs/promises";
import type { Family } from "../../address.ts";
import { systemCallFailed } from "../native/system-error.ts";

const files = { ipv4: "/proc/net/route", ipv6: "/proc/net/ipv6_route" } as const;
const RTF_UP = 0x1;
const RTF_REJECT = 0x200;

interface ReadOptions {
  readonly signal: AbortSignal;
  /** The tunnel: a default route through it does not count. */
  readonly ignore: string;
}

/** The interface's name, or undefined when there is no default route. Throws SYSTEM_CALL_FAILED, or when aborted its reason. */
export async function readDefaultRoute(family: Family, { signal, ignore }: ReadOptions): Promise<string | undefined> {
  try {
    return parseDefaultRoute(await readFile(files[family], { encoding: "utf8", signal }), { family, ignore });
  } catch (cause) {
    signal.throwIfAborted();
    // Without IPv6 in the kernel there is no file.
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw systemCallFailed("read the default route", cause);
  }
}

/** The same from the text of the file; the lowest metric wins, then the first. */
export function parseDefaultRoute(
  text: string,
  { family, ignore }: { readonly family: Family; readonly ignore: string },
): string | undefined {
  const routes = text
    .split("\n")
    .flatMap((line) => (family === "ipv4" ? parseIpv4Line(line) : parseIpv6Line(line)) ?? [])
    .filter(({ name, isDefault, flags }) => isDefault && isUsable(flags) && name !== ignore);
  const best = Math.min(...routes.map(({ metric }) => metric));
  return routes.find(({ metric }) => metric === best)?.name;
}

interface Route {
  readonly name: string;
  readonly isDefault: boolean;
  readonly flags: number;
  readonly metric: number;
}

/** "eth0 00000000 0101A8C0 0003 0 0 100 00000000 0 0 0": numbers are hexadecimal, the metric is decimal. */
function parseIpv4Line(line: string): Route | undefined {
  const [name = "", destination = "", , flags = "", , , metric, mask] = line.trim().split(/\s+/);
  if (mask === undefined || !/^[0-9A-F]{8}$/i.test(destination)) return undefined;
  const isDefault = Number.parseInt(destination, 16) === 0 && Number.parseInt(mask, 16) === 0;
  return { name, isDefault, flags: Number.parseInt(flags, 16), metric: Number(metric) };
}

/** Destination, its prefix length, source, its prefix length, next hop, metric, references, uses, flags, name. */
function parseIpv6Line(line: string): Route | undefined {
  const [destination = "", prefix = "", , , , metric = "", , , flags = "", name] = line.trim().split(/\s+/);
  if (name === undefined) return undefined;
  const isDefault = prefix === "00" && /^0{32}$/.test(destination);
  return { name, isDefault, flags: Number.parseInt(flags, 16), metric: Number.parseInt(metric, 16) };
}

function isUsable(flags: number): boolean {
  return (flags & RTF_UP) !== 0 && (flags & RTF_REJECT) === 0;
}
