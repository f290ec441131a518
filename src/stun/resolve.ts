/**
 * Names of STUN servers to IP addresses, by the system's resolver: what /etc/hosts, mDNS or a VPN's scoped DNS say counts.
 *
 * getaddrinfo(3), which cannot be cancelled: after the deadline its answer is dropped.
 */
import { type LookupAddress, lookup as systemLookup } from "node:dns";
import { type Family, formatIp, parseIp } from "../address.ts";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { StunmeshError } from "../errors.ts";

/**
 * All addresses of `host` in `family`, best first; empty when it has none there. A literal is its own address. Rejects
 * with STUN_NAME_UNRESOLVED when the resolver failed, TIMEOUT when it gave no answer, the signal's reason when aborted.
 */
export type Resolve = (
  host: string,
  options: { readonly family: Family; readonly signal: AbortSignal },
) => Promise<readonly string[]>;

interface ResolveOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** Default: getaddrinfo(3). */
  lookup?(host: string, family: 4 | 6): Promise<readonly LookupAddress[]>;
}

/** "The name or such an address does not exist": an answer, unlike a resolver that did not answer. */
const absentCodes: ReadonlySet<unknown> = new Set(["ENOTFOUND", "ENODATA"]);

/** Makes the resolver that the daemon uses. */
export function createResolve({ clock, timeoutMs, lookup = lookupAll }: ResolveOptions): Resolve {
  return async (host, { family, signal }) => {
    const literal = parseIp(host);
    if (literal) return (literal.length === 4) === (family === "ipv4") ? [formatIp(literal)] : [];
    const action = `resolve "${host}"`;
    return withDeadline({ clock, timeoutMs, signal, action }, async () => {
      try {
        const found = await lookup(host, family === "ipv4" ? 4 : 6);
        return found.map(({ address }) => address);
      } catch (error) {
        const code = error instanceof Error && "code" in error ? error.code : undefined;
        if (absentCodes.has(code)) return [];
        throw new StunmeshError("STUN_NAME_UNRESOLVED", `Cannot ${action}: the resolver failed`, { cause: error });
      }
    });
  };
}

function lookupAll(host: string, family: 4 | 6): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(host, { all: true, family, order: "verbatim" }, (error, addresses) => {
      if (error) reject(error);
      else resolve(addresses);
    });
  });
}
