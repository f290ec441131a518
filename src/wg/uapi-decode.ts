/**
 * Answers of the cross-platform userspace protocol (https://www.wireguard.com/xplatform/): lines of `key=value` about
 * the device, then about each peer from its `public_key` on, then `errno`, then an empty line. Pure.
 *
 * A key that is not known is passed over, as wg(8) does it (the protocol grows, and there are dialects); a value that is
 * not valid never is.
 */
import { StunmeshError } from "../errors.ts";
import type { DecodedDevice } from "./backend.ts";
import { invalidReply, MAX_SECONDS, MAX_UINT64, parseAllowedIp, parseCount, parseEndpoint } from "./field.ts";
import { isNoKey, parseHexKey } from "./key.ts";
import type { WireGuardPeer } from "./types.ts";

export interface UapiReply {
  /** 0 = the request was carried out, else the operating system's error number, positive or negative. */
  readonly errno: number;
  /** Empty in the answer to a set request. */
  readonly device: DecodedDevice;
}

/**
 * Where a line is. Its value stays bytes until somebody wants it, so that a preshared key never becomes a string, and
 * offsets because a thousand peers are ten thousand lines.
 */
interface Line {
  readonly reply: { readonly bytes: Buffer; readonly name: string };
  readonly number: number;
  readonly key: string;
  readonly valueStart: number;
  readonly valueEnd: number;
}

/** The lines about the device, or about one peer, by their keys. */
type Section = Map<string, Line[]>;

const NEWLINE = 0x0a;
const EQUALS = 0x3d;
const MAX_KEY_CHARS = 40;
/** No value is longer than an IPv6 address with a zone and a port. */
const MAX_VALUE_CHARS = 128;

const deviceKeys: readonly string[] = ["private_key", "listen_port", "fwmark"];
const peerKeys: readonly string[] = [
  "preshared_key",
  "endpoint",
  "allowed_ip",
  "last_handshake_time_sec",
  "last_handshake_time_nsec",
  "rx_bytes",
  "tx_bytes",
  "persistent_keepalive_interval",
];

/**
 * Decodes an answer about interface `name`. Throws WG_REPLY_INVALID, and WG_DEVICE_UNSUPPORTED for a dialect that lacks
 * what is needed.
 */
export function decodeReply(bytes: Buffer, name: string): UapiReply {
  const lines = readLines(bytes, name);
  const last = lines.pop();
  if (last?.key !== "errno") throw invalidReply(name, "the answer has no errno at its end");
  const device: Section = new Map();
  const peers: Section[] = [];
  for (const line of lines) {
    if (line.key === "public_key") peers.push(new Map());
    const misplaced = peers.length > 0 ? deviceKeys : peerKeys;
    if (line.key === "errno" || misplaced.includes(line.key)) throw invalidLine(line, "is out of place");
    const section = peers.at(-1) ?? device;
    const sameKey = section.get(line.key);
    if (sameKey) sameKey.push(line);
    else section.set(line.key, [line]);
  }
  if (device.has("own_public_key") && !device.has("private_key")) throw unsupported(name);
  return { errno: parseLine(last, parseErrno), device: { ...decodeDevice(device), peers: peers.map(decodePeer) } };
}

function readLines(bytes: Buffer, name: string): Line[] {
  const reply = { bytes, name };
  const lines: Line[] = [];
  let start = 0;
  for (;;) {
    const end = bytes.indexOf(NEWLINE, start);
    if (end === -1) throw invalidReply(name, "the answer has no end");
    const isEmptyLine = end === start && lines.length > 0;
    if (isEmptyLine && end + 1 < bytes.length) throw invalidReply(name, "the answer goes on after its end");
    if (isEmptyLine) return lines;
    const number = lines.length + 1;
    const equals = bytes.indexOf(EQUALS, start);
    const isKey = equals > start && equals < end && equals - start <= MAX_KEY_CHARS;
    const key = isKey ? bytes.toString("latin1", start, equals) : "";
    if (!/^[a-z0-9_]+$/.test(key)) throw invalidReply(name, `line ${number} is not key=value`);
    lines.push({ reply, number, key, valueStart: equals + 1, valueEnd: end });
    start = end + 1;
  }
}

function decodeDevice(section: Section): Omit<DecodedDevice, "peers"> {
  const privateKey = parseOne(section.get("private_key"), parseHexKey);
  return {
    privateKey: privateKey && isNoKey(privateKey) ? undefined : privateKey,
    listenPort: parseOne(section.get("listen_port"), (text) => parseCount(text, 65535)) ?? 0,
    firewallMark: parseOne(section.get("fwmark"), (text) => parseCount(text, 0xffffffff)) ?? 0,
  };
}

function decodePeer(section: Section): WireGuardPeer {
  const count = (key: string, max: number) => parseOne(section.get(key), (text) => parseCount(text, max)) ?? 0;
  const seconds = count("last_handshake_time_sec", MAX_SECONDS);
  const nanoseconds = count("last_handshake_time_nsec", 999_999_999);
  const latestHandshakeMs = seconds * 1000 + Math.floor(nanoseconds / 1e6);
  return {
    // A section of a peer begins with its public key, so there always is one.
    publicKey: parseOne(section.get("public_key"), parseHexKey) ?? new Uint8Array(32),
    ...parseOne(section.get("endpoint"), parseEndpoint),
    ...(latestHandshakeMs > 0 ? { latestHandshakeMs } : {}),
    receivedBytes: count("rx_bytes", MAX_UINT64),
    sentBytes: count("tx_bytes", MAX_UINT64),
    allowedIps: (section.get("allowed_ip") ?? []).map((line) => parseLine(line, parseAllowedIp)),
    persistentKeepalive: count("persistent_keepalive_interval", 65535),
  };
}

function parseErrno(text: string): number | undefined {
  return /^-?\d{1,9}$/.test(text) ? Number(text) : undefined;
}

/** The value of a key that is there once or not at all. */
function parseOne<T>(lines: readonly Line[] | undefined, parse: (text: string) => T | undefined): T | undefined {
  const [line, second] = lines ?? [];
  if (second) throw invalidLine(second, "is there twice");
  return line && parseLine(line, parse);
}

function parseLine<T>(line: Line, parse: (text: string) => T | undefined): T {
  const { reply, valueStart, valueEnd } = line;
  const isTooLong = valueEnd - valueStart > MAX_VALUE_CHARS;
  const parsed = isTooLong ? undefined : parse(reply.bytes.toString("latin1", valueStart, valueEnd));
  if (parsed === undefined) throw invalidLine(line, "is not valid");
  return parsed;
}

/**
 * boringtun and what came of it. Beside the missing key, their `last_handshake_time_sec` is the age of the handshake, and
 * they refuse `update_only`, without which a set request may create a peer: no part of that can be made up for here.
 */
function unsupported(name: string): StunmeshError {
  return new StunmeshError(
    "WG_DEVICE_UNSUPPORTED",
    `Cannot use WireGuard interface "${name}": it is run by boringtun or a program like it, which is not supported: it does not tell its private key; run the interface with the kernel's WireGuard or wireguard-go`,
  );
}

/** Only for keys that are known: what else stands before an equals sign is not for a message. */
function invalidLine({ reply, number, key }: Line, why: string): StunmeshError {
  return invalidReply(reply.name, `line ${number} (${key}) ${why}`);
}
