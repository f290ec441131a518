/**
 * A TSIG key as people have it: its parts as options, or the file that tsig-keygen(8) writes, whole, as the secret:
 *
 *     key "name" {
 *             algorithm hmac-sha256;
 *             secret "base64";
 *     };
 */
import { parseDnsName } from "./rfc2136-name.ts";
import { type TsigAlgorithm, tsigAlgorithms } from "./rfc2136-tsig.ts";

export interface KeyText {
  readonly secret: Buffer;
  /** Of a file: what it says. */
  readonly name?: string;
  readonly algorithm?: TsigAlgorithm;
}

const MAX_KEY_CHARS = 4096;
/** A word, a text in quotes, or a sign; comments are left out before. */
const token = /"[^"]*"|[{};]|[^\s"{};]+/g;

/** The algorithm of a name in any case, with or without the dot that ends a name in the DNS; undefined for no such one. */
export function parseAlgorithm(text: string): TsigAlgorithm | undefined {
  const lower = text.trim().toLowerCase();
  const name = lower.endsWith(".") ? lower.slice(0, -1) : lower;
  if (name === "hmac-md5" || name === "hmac-md5.sig-alg.reg.int") return "hmac-md5.sig-alg.reg.int";
  return tsigAlgorithms.find((known) => known === name && known !== "hmac-md5") as TsigAlgorithm | undefined;
}

/** A secret in base64, or a key file with one key; undefined for anything else. */
export function parseKeyText(text: string): KeyText | undefined {
  if (text.length > MAX_KEY_CHARS) return undefined;
  const secret = parseSecret(text);
  return secret ? { secret } : parseKeyFile(text);
}

function parseSecret(text: string): Buffer | undefined {
  const digits = text.replace(/\s/g, "");
  return digits.length >= 4 && /^[A-Za-z0-9+/]+={0,2}$/.test(digits) ? Buffer.from(digits, "base64") : undefined;
}

function parseKeyFile(text: string): KeyText | undefined {
  const lines = text.split("\n").filter((line) => !/^\s*(?:#|\/\/)/.test(line));
  const words = (lines.join("\n").match(token) ?? []).map((word) => word.replaceAll('"', ""));
  const [key, name = "", open, ...rest] = words;
  const end = rest.lastIndexOf("}");
  // Something behind the key is another key, or a part of a server's configuration: it is not clear which is meant.
  if (key !== "key" || open !== "{" || rest.slice(end).join("") !== "};") return undefined;
  const statements = new Map<string, string>();
  for (let at = 0; at < end; at += 3) {
    const [what = "", value = "", semicolon] = rest.slice(at, at + 3);
    if (semicolon !== ";" || statements.has(what)) return undefined;
    statements.set(what, value);
  }
  const secret = parseSecret(statements.get("secret") ?? "");
  const algorithm = parseAlgorithm(statements.get("algorithm") ?? "");
  const dnsName = parseDnsName(name);
  return secret && algorithm && dnsName && statements.size === 2 ? { secret, algorithm, name: dnsName } : undefined;
}
