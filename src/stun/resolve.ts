/** Names of STUN servers and ping targets to IP addresses. */
import { type Family, formatIp, parseIp } from "../address.ts";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { StunmeshError } from "../errors.ts";
import { isAbsent, type LookupName, lookupName } from "../names.ts";

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
  /** Default: lookupName. */
  readonly lookup?: LookupName;
}

/** Makes the resolver that the daemon uses. */
export function createResolve({ clock, timeoutMs, lookup = lookupName }: ResolveOptions): Resolve {
  return async (host, { family, signal }) => {
    const literal = parseIp(host);
    if (literal) return (literal.length === 4) === (family === "ipv4") ? [formatIp(literal)] : [];
    const action = `resolve "${host}"`;
    return withDeadline({ clock, timeoutMs, signal, action }, async (signal) => {
      try {
        const found = await lookup(host, { family: family === "ipv4" ? 4 : 6, signal });
        return found.map(({ address }) => address);
      } catch (error) {
        signal.throwIfAborted();
        if (isAbsent(error)) return [];
        throw new StunmeshError("STUN_NAME_UNRESOLVED", `Cannot ${action}: the resolver failed`, { cause: error });
      }
    });
  };
}
