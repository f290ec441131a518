/**
 * How far an address can be reached from: an address behind one more NAT is still worth publishing, but a person must know.
 */
import { embeddedIpv4, parseIp, type TransportAddress, whyNotAnEndpoint } from "../address.ts";

/** "cgnat" is the shared address space of carriers, RFC 6598; "private" RFC 1918 and RFC 4193; "public" all others. */
export type AddressScope = "public" | "cgnat" | "private";

/** Classes a mapped address. */
export function addressScope({ host }: Pick<TransportAddress, "host">): AddressScope {
  const bytes = parseIp(host) ?? new Uint8Array(4);
  const [first = 0, second = 0] = bytes;
  const inner = embeddedIpv4(bytes);
  if (inner !== undefined) return addressScope({ host: inner });
  if (bytes.length === 16) return (first & 0xfe) === 0xfc ? "private" : "public";
  if (first === 100 && (second & 0xc0) === 64) return "cgnat";
  if (first === 10 || (first === 172 && (second & 0xf0) === 16) || (first === 192 && second === 168)) return "private";
  return "public";
}

/**
 * Why an address that the server at `asked` names as another one of its own is not sent to, or undefined when it may be: a
 * stranger on the internet must not make this host send into its own network.
 */
export function whyNotItsOther(
  other: Pick<TransportAddress, "host">,
  asked: Pick<TransportAddress, "host">,
): string | undefined {
  const why = whyNotAnEndpoint(other);
  if (why !== undefined) return why;
  const scope = addressScope(other);
  return scope === "public" || addressScope(asked) !== "public" ? undefined : `it is a ${scope} address`;
}
