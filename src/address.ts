/**
 * IP addresses and transport addresses (RFC 8489: an IP address and a port), and the record of a host's own.
 *
 * Text is canonical everywhere: RFC 5952 for IPv6, and an IPv4-mapped IPv6 address is an IPv4 address.
 */
import { isIPv4, isIPv6 } from "node:net";

export type Family = "ipv4" | "ipv6";

export interface TransportAddress {
  readonly family: Family;
  /** Canonical text without brackets and without a zone. */
  readonly host: string;
  /** 1..65535 */
  readonly port: number;
}

/** The transport addresses a host can be reached at, at most one of each family. */
export type EndpointRecord = { readonly [family in Family]?: TransportAddress };

/** What a peer accepts: `ipv4` and `ipv6` only that family, `prefer_*` that one first. */
export type PeerProtocol = "ipv4" | "ipv6" | "prefer_ipv4" | "prefer_ipv6";

/** Candidates of `record` for `protocol`, best first; empty when the record has nothing the peer accepts. */
export function selectEndpoints(record: EndpointRecord, protocol: PeerProtocol): readonly TransportAddress[] {
  const order: readonly Family[] =
    protocol === "ipv4"
      ? ["ipv4"]
      : protocol === "ipv6"
        ? ["ipv6"]
        : protocol === "prefer_ipv4"
          ? ["ipv4", "ipv6"]
          : ["ipv6", "ipv4"];
  return order.flatMap((family) => record[family] ?? []);
}

/** Parses an IP literal to its 4 or 16 bytes (a mapped ::ffff:a.b.c.d to 4); undefined when it is none. Zones are refused. */
export function parseIp(text: string): Uint8Array | undefined {
  if (isIPv4(text)) return Uint8Array.from(text.split("."), Number);
  if (!isIPv6(text) || text.includes("%")) return undefined;
  const bytes = parseIpv6(text);
  return isIpv4Mapped(bytes) ? bytes.subarray(12) : bytes;
}

/** Formats 4 or 16 bytes as canonical text. Any other length is a programming error and throws a RangeError. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) throw new RangeError(`Cannot format an IP address of ${bytes.length} bytes: 4 or 16 wanted`);
  if (isIpv4Mapped(bytes)) return bytes.subarray(12).join(".");
  return formatIpv6(bytes);
}

/** Makes a TransportAddress of an IP literal and a port; undefined when either is not valid. */
export function transportAddress(host: string, port: number): TransportAddress | undefined {
  const bytes = parseIp(host);
  if (!bytes || !Number.isInteger(port) || port < 1 || port > 65535) return undefined;
  return { family: bytes.length === 4 ? "ipv4" : "ipv6", host: formatIp(bytes), port };
}

/** Parses `203.0.113.7:51820` or `[2001:db8::7]:51820`; undefined for anything else (names, missing brackets, port 0). */
export function parseTransportAddress(text: string): TransportAddress | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})$/.exec(text);
  if (!match) return undefined;
  const [, ipv6, ipv4, port] = match;
  return transportAddress(ipv6 ?? ipv4 ?? "", Number(port));
}

/** The inverse of parseTransportAddress. */
export function formatTransportAddress({ family, host, port }: TransportAddress): string {
  return family === "ipv6" ? `[${host}]:${port}` : `${host}:${port}`;
}

export function sameTransportAddress(a: TransportAddress | undefined, b: TransportAddress | undefined): boolean {
  return a?.host === b?.host && a?.port === b?.port;
}

/** Why nobody can be reached at `host` from elsewhere ("it is a loopback address"), or undefined when it may be an endpoint. */
export function whyNotAnEndpoint({ host }: Pick<TransportAddress, "host">): string | undefined {
  const bytes = parseIp(host) ?? new Uint8Array(4);
  const [first = 0, second = 0] = bytes;
  if (bytes.every((byte) => byte === 0)) return "it is the unspecified address";
  if (bytes.length === 4) {
    if (first === 0) return 'it is an address of "this network"';
    if (first === 127) return "it is a loopback address";
    if (first >= 224 && first <= 239) return "it is a multicast address";
    if (first >= 240) return "it is a reserved or broadcast address";
    if (first === 169 && second === 254) return "it is a link-local address";
    return undefined;
  }
  if (bytes.subarray(0, 15).every((byte) => byte === 0) && bytes[15] === 1) return "it is a loopback address";
  if (first === 0xff) return "it is a multicast address";
  if (first === 0xfe && (second & 0xc0) === 0x80) return "it is a link-local address";
  // Nobody has had one since RFC 4291 did away with them, but ::127.0.0.1 is still taken for what it ends with.
  if (bytes.subarray(0, 12).every((byte) => byte === 0)) return "it is an IPv4-compatible address";
  const inner = embeddedIpv4(bytes);
  const why = inner && whyNotAnEndpoint({ host: inner });
  return why && `it stands for ${inner}, and ${why}`;
}

/**
 * The IPv4 address that packets to an IPv6 address end up at, where the address has one in it: NAT64 (RFC 6052, 8215), 6to4
 * (RFC 3056), Teredo (RFC 4380), SIIT (RFC 2765).
 */
export function embeddedIpv4(bytes: Uint8Array): string | undefined {
  if (bytes.length !== 16) return undefined;
  const begins = (...start: readonly number[]) => start.every((byte, index) => bytes[index] === byte);
  const last = bytes.subarray(12);
  if (begins(0x20, 0x02)) return formatIp(bytes.subarray(2, 6));
  if (begins(0x20, 0x01, 0, 0)) return formatIp(last.map((byte) => byte ^ 0xff));
  if (begins(0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0)) return formatIp(last);
  if (begins(0, 0x64, 0xff, 0x9b, 0, 1) && bytes.subarray(6, 12).every((byte) => byte === 0)) return formatIp(last);
  if (begins(0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0)) return formatIp(last);
  return undefined;
}

function isIpv4Mapped(bytes: Uint8Array): boolean {
  return bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff && bytes[11] === 0xff;
}

function parseIpv6(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  const last = text.slice(text.lastIndexOf(":") + 1);
  const hex = last.includes(".") ? text.slice(0, -last.length) + ipv4AsGroups(last) : text;
  const [head = "", tail] = hex.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  left.forEach((group, index) => {
    writeGroup(bytes, index, group);
  });
  right.forEach((group, index) => {
    writeGroup(bytes, 8 - right.length + index, group);
  });
  return bytes;
}

function ipv4AsGroups(dotted: string): string {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split(".").map(Number);
  return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

function writeGroup(bytes: Uint8Array, index: number, group: string): void {
  const value = Number.parseInt(group, 16);
  bytes[index * 2] = value >> 8;
  bytes[index * 2 + 1] = value & 0xff;
}

/** RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups shortened to `::`. */
function formatIpv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, index) => ((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0));
  let start = 0;
  let length = 0;
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (groups[to] === 0) to++;
    if (to - from > length) [start, length] = [from, to - from];
  }
  const text = groups.map((group) => group.toString(16));
  if (length < 2) return text.join(":");
  return `${text.slice(0, start).join(":")}::${text.slice(start + length).join(":")}`;
}

/** The addresses of a record as text, IPv4 first. */
export function formatAddresses({ ipv4, ipv6 }: EndpointRecord): readonly string[] {
  return [ipv4, ipv6].flatMap((address) => (address ? [formatTransportAddress(address)] : []));
}
