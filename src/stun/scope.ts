/**
 * How far an address can be reached from: an address behind one more NAT is still worth publishing, but a person must know.
 */
import { parseIp, type TransportAddress } from "../address.ts";

/** "cgnat" is the shared address space of carriers, RFC 6598; "private" RFC 1918 and RFC 4193; "public" all others. */
export type AddressScope = "public" | "cgnat" | "private";

/** Classes a mapped address. */
export function addressScope({ host }: Pick<TransportAddress, "host">): AddressScope {
  const bytes = parseIp(host) ?? new Uint8Array(4);
  const [first = 0, second = 0] = bytes;
  if (bytes.length === 16) return (first & 0xfe) === 0xfc ? "private" : "public";
  if (first === 100 && (second & 0xc0) === 64) return "cgnat";
  if (first === 10 || (first === 172 && (second & 0xf0) === 16) || (first === 192 && second === 168)) return "private";
  return "public";
}
