/**
 * Whether a request is meant for this host. A web page can give its own name the address of this host (DNS rebinding), and
 * its script may then read what is answered: such a request names the page's host. Pure.
 */
import { isIP } from "node:net";

/** Ends of names that nobody can register (RFC 6761, RFC 6762, RFC 8375, and .internal and .lan, which are not delegated). */
const PRIVATE_ENDS = ["localhost", "local", "home.arpa", "internal", "lan"];

/** `header` is the Host header; without one no browser asks. `ownName` is what the system calls itself. */
export function isOwnHost(header: string | undefined, ownName: string): boolean {
  if (header === undefined) return true;
  const host = header.replace(/:\d{1,5}$/, "").toLowerCase();
  if (isIP(host.replace(/^\[(.*)\]$/, "$1")) !== 0) return true;
  if (host === ownName.toLowerCase() || !host.includes(".")) return true;
  return PRIVATE_ENDS.some((end) => host.endsWith(`.${end}`));
}
