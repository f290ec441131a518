/**
 * The text of `wg show NAME dump` (wg(8)): a line about the device, then one for each peer, fields separated by tabs.
 * Pure. The text contains the private key and the preshared keys: a message names the place and never the value.
 */
import type { DecodedDevice } from "./backend.ts";
import {
  invalidReply,
  MAX_SECONDS,
  MAX_UINT64,
  parseAllowedIp,
  parseCount,
  parseEndpoint,
  splitBytes,
} from "./field.ts";
import { isNoKey, parseBase64Key } from "./key.ts";
import type { WireGuardPeer } from "./types.ts";

const NEWLINE = 0x0a;
const TAB = 0x09;

const deviceFieldNames = ["private key", "public key", "listen port", "firewall mark"] as const;
const peerFieldNames = [
  "public key",
  "preshared key",
  "endpoint",
  "allowed ips",
  "latest handshake",
  "received",
  "sent",
  "persistent keepalive",
] as const;

interface Line<FieldName extends string> {
  /** The value of a field by `parse`, which returns undefined for what is not valid. */
  parse<T>(fieldName: FieldName, parse: (text: string) => T | undefined): T;
}

/** Decodes the dump of interface `name`. Throws WG_REPLY_INVALID and nothing else. */
export function decodeDump(bytes: Buffer, name: string): DecodedDevice {
  const [first, ...others] = splitBytes(bytes, NEWLINE);
  const end = others.pop();
  if (!first || end === undefined || end.length > 0) throw invalidReply(name, "the output of wg(8) has no end");
  const device = readLine(first, { name, place: "line 1", fieldNames: deviceFieldNames });
  // Checked and not used: the public key follows from the private one. The preshared keys are not even looked at.
  device.parse("public key", parseOptionalKey);
  return {
    privateKey: device.parse("private key", parseOptionalKey).key,
    listenPort: device.parse("listen port", (text) => parseCount(text, 65535)),
    firewallMark: device.parse("firewall mark", parseFirewallMark),
    peers: others.map((line, index) =>
      decodePeer(readLine(line, { name, place: `line ${index + 2}`, fieldNames: peerFieldNames })),
    ),
  };
}

function decodePeer(line: Line<(typeof peerFieldNames)[number]>): WireGuardPeer {
  const seconds = line.parse("latest handshake", (text) => parseCount(text, MAX_SECONDS));
  return {
    publicKey: line.parse("public key", parseBase64Key),
    ...line.parse("endpoint", (text) => (text === "(none)" ? {} : parseEndpoint(text))),
    ...(seconds > 0 ? { latestHandshakeMs: seconds * 1000 } : {}),
    receivedBytes: line.parse("received", (text) => parseCount(text, MAX_UINT64)),
    sentBytes: line.parse("sent", (text) => parseCount(text, MAX_UINT64)),
    allowedIps: line.parse("allowed ips", parseAllowedIps),
    persistentKeepalive: line.parse("persistent keepalive", (text) => (text === "off" ? 0 : parseCount(text, 65535))),
  };
}

interface LineOptions<FieldName extends string> {
  readonly name: string;
  readonly place: string;
  readonly fieldNames: readonly FieldName[];
}

function readLine<FieldName extends string>(line: Buffer, options: LineOptions<FieldName>): Line<FieldName> {
  const { name, place, fieldNames } = options;
  const fields = splitBytes(line, TAB);
  if (fields.length !== fieldNames.length) {
    throw invalidReply(name, `${place} has ${fields.length} fields and not ${fieldNames.length}`);
  }
  return {
    parse(fieldName, parse) {
      const index = fieldNames.indexOf(fieldName);
      const value = parse(fields[index]?.toString("latin1") ?? "");
      if (value === undefined) throw invalidReply(name, `${place}, field ${index + 1} (${fieldName}) is not valid`);
      return value;
    },
  };
}

/** The object around the key tells "no key" from "not valid". */
function parseOptionalKey(text: string): { readonly key: Uint8Array | undefined } | undefined {
  if (text === "(none)") return { key: undefined };
  const key = parseBase64Key(text);
  return key && { key: isNoKey(key) ? undefined : key };
}

function parseFirewallMark(text: string): number | undefined {
  if (text === "off") return 0;
  return /^0x[0-9a-f]{1,8}$/i.test(text) ? Number(text) : undefined;
}

function parseAllowedIps(text: string): readonly string[] | undefined {
  if (text === "(none)") return [];
  const allowedIps = text.split(",").map(parseAllowedIp);
  return allowedIps.includes(undefined) ? undefined : allowedIps.filter((allowedIp) => allowedIp !== undefined);
}
