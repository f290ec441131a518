/**
 * The fields both texts about a device are made of (the userspace protocol and `wg show dump`), and the error of a
 * field that is not valid. The text comes from another program: nothing of it is believed, and nothing of it gets into
 * a message, because it contains keys.
 */
import { formatIp, parseIp, parseTransportAddress, type TransportAddress } from "../address.ts";
import { StunmeshError } from "../errors.ts";

export const MAX_UINT64 = 2 ** 64;
/** Latest time a Date can hold, in seconds. */
export const MAX_SECONDS = 8.64e12;

/** The error of a text about interface `name`: `why` begins with the place, "line 3, field 5 (latest handshake) is ...". */
export function invalidReply(name: string, why: string): StunmeshError {
  return new StunmeshError("WG_REPLY_INVALID", `Cannot read WireGuard interface "${name}": ${why}`);
}

/**
 * Splits `bytes` at each `separator`. Bytes and not text: a substring of JavaScript keeps the whole string it came from
 * alive, so one address cut out of a text with keys would keep the keys.
 */
export function splitBytes(bytes: Buffer, separator: number): Buffer[] {
  const parts: Buffer[] = [];
  let start = 0;
  for (let end = bytes.indexOf(separator); end !== -1; end = bytes.indexOf(separator, start)) {
    parts.push(bytes.subarray(start, end));
    start = end + 1;
  }
  parts.push(bytes.subarray(start));
  return parts;
}

/** Parses a decimal number of at most `max`; undefined for anything else. Above 2^53 the nearest number that exists. */
export function parseCount(text: string, max: number): number | undefined {
  if (!/^\d{1,20}$/.test(text)) return undefined;
  const value = Number(text);
  return value <= max ? value : undefined;
}

/**
 * Parses the endpoint of a peer: `{}` when it is one that this program has no use for (an IPv6 address with a zone,
 * port 0), undefined when it is none at all.
 */
export function parseEndpoint(text: string): { readonly endpoint?: TransportAddress } | undefined {
  const endpoint = parseTransportAddress(text);
  if (endpoint) return { endpoint };
  const match = /^(?:\[([0-9A-Fa-f:.]+)(%[!-~]+)?\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const [, ipv6, zone, ipv4, port] = match;
  const isAddress = parseIp(ipv6 ?? ipv4 ?? "") !== undefined;
  return isAddress && Number(port) <= 65535 && (zone !== undefined || Number(port) === 0) ? {} : undefined;
}

/** Parses and canonicalizes `10.0.0.0/24`; undefined for anything else. */
export function parseAllowedIp(text: string): string | undefined {
  const match = /^([0-9A-Fa-f:.]{2,45})\/(\d{1,3})$/.exec(text);
  const [, host = "", length = ""] = match ?? [];
  const bytes = parseIp(host);
  if (!bytes) return undefined;
  const isIpv6 = host.includes(":");
  if (Number(length) > (isIpv6 ? 128 : 32)) return undefined;
  // For WireGuard ::ffff:10.0.0.1/128 is a prefix of IPv6; the canonical text of the address would make it IPv4.
  const isMapped = isIpv6 && bytes.length === 4;
  const canonical = isMapped ? host.toLowerCase() : formatIp(bytes);
  return `${canonical}/${Number(length)}`;
}
