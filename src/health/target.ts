/** Where a peer's ping goes: an address, or a name that is looked up now and then. */
import { type Family, parseIp } from "../address.ts";
import type { Clock } from "../clock.ts";
import type { PeerConfig } from "../config/types.ts";
import type { PingTarget } from "./monitor.ts";

/** How long a looked-up address is used before the name is looked up again. */
const NAME_MAX_AGE_MS = 60_000;

/** IP literals of a name, of one family; empty when it has none. */
export type ResolveTarget = (
  name: string,
  options: { readonly family: Family; readonly signal: AbortSignal },
) => Promise<readonly string[]>;

/** The ping target of a peer; undefined when it has none. A name's IPv4 address is preferred. */
export function createPingTarget(
  { name, ping }: PeerConfig,
  { resolveTarget, clock }: { readonly resolveTarget: ResolveTarget; readonly clock: Clock },
): PingTarget | undefined {
  if (!ping) return undefined;
  const { target, intervalMs, timeoutMs } = ping;
  const literal = parseIp(target);
  let known: { readonly family: Family; readonly target: string } | undefined;
  if (literal) known = { family: literal.length === 4 ? "ipv4" : "ipv6", target };
  let knownAtMs = literal ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;

  async function lookUp(signal: AbortSignal) {
    for (const family of ["ipv4", "ipv6"] as const) {
      const [address] = await resolveTarget(target, { family, signal });
      if (address !== undefined) return { family, target: address };
    }
    return undefined;
  }

  return {
    name,
    intervalMs,
    timeoutMs,
    async resolve(signal) {
      if (clock.monotonic() - knownAtMs >= NAME_MAX_AGE_MS) {
        known = (await lookUp(signal)) ?? known;
        knownAtMs = clock.monotonic();
      }
      return known;
    },
  };
}
