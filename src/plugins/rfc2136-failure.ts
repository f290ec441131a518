/** What went wrong with a DNS server, in words that say what to do. Texts here are the end of "Cannot ... plugin: why". */
import { StunmeshError } from "../errors.ts";
import { type DnsServer, NoAnswerError } from "./rfc2136-exchange.ts";
import { DnsFormatError } from "./rfc2136-name.ts";
import type { Tsig, TsigKey } from "./rfc2136-tsig.ts";

/** RFC 1035 section 4.1.1 and RFC 2136 section 2.2. */
const rcodeNames: Readonly<Record<number, string>> = {
  1: "FORMERR",
  2: "SERVFAIL",
  3: "NXDOMAIN",
  4: "NOTIMP",
  5: "REFUSED",
  6: "YXDOMAIN",
  7: "YXRRSET",
  8: "NXRRSET",
  9: "NOTAUTH",
  10: "NOTZONE",
};

interface RcodeContext {
  readonly isUpdate: boolean;
  readonly zone: string;
  readonly key: TsigKey;
}

/** The error that a reply with this RCODE is. */
export function rcodeError(rcode: number, { isUpdate, zone, key }: RcodeContext): StunmeshError {
  const name = rcodeNames[rcode] ?? `RCODE ${rcode}`;
  const advice: Readonly<Record<string, string>> = isUpdate
    ? {
        FORMERR: "the server does not understand the update",
        SERVFAIL: "the server could not carry out the update (its log says why; often it cannot write the zone's file)",
        NOTIMP: "the server takes no dynamic updates",
        REFUSED: `key "${key.name}" may not update this record of zone "${zone}" there`,
        NOTAUTH: `the server is not the primary of zone "${zone}", or does not let this key sign updates of it`,
        NOTZONE: `the server says that the record is not in zone "${zone}"`,
      }
    : {
        SERVFAIL: "the server could not find out: does the zone exist, and do its servers answer?",
        REFUSED: "the server does not answer this host's questions, or does not have the zone: see `read_server`",
      };
  const why = advice[name];
  const code = name === "FORMERR" || name === "NOTZONE" ? "STORE_FAILED" : "STORE_UNAVAILABLE";
  return new StunmeshError(code, why === undefined ? name : `${name}: ${why}`);
}

/** The error that a reply with this TSIG error is (RFC 8945 section 3). */
export function tsigError(
  tsig: Tsig,
  { key, zone, nowSeconds }: { readonly key: TsigKey; readonly zone: string; readonly nowSeconds: number },
): StunmeshError {
  const { name, algorithm } = key;
  return new StunmeshError("STORE_UNAVAILABLE", explain());

  function explain(): string {
    switch (tsig.error) {
      case 16:
        return `BADSIG: the secret of key "${name}" is another there`;
      case 17:
        return `BADKEY: the server has no key "${name}" for ${algorithm}, or does not let it update zone "${zone}"`;
      case 18:
        return `BADTIME: ${describeClocks(tsig.other, nowSeconds)}`;
      case 22:
        return "BADTRUNC: the server wants another length of signatures";
      default:
        return `TSIG error ${tsig.error}`;
    }
  }
}

/** The reply cannot be believed, and so the update may or may not have been carried out. */
export function untrustedError(why: string): StunmeshError {
  return new StunmeshError("STORE_REPLY_INVALID", `the server's reply is not to be trusted: ${why}`);
}

/** `other` of a BADTIME reply is the server's time (section 5.2.3). */
function describeClocks(other: Buffer, nowSeconds: number): string {
  const advice = "set this host's clock (NTP)";
  if (other.length !== 6) return `the clocks are too far apart: ${advice}`;
  const ahead = nowSeconds - other.readUIntBE(0, 6);
  return `this host's clock is ${Math.abs(ahead)} s ${ahead > 0 ? "ahead of" : "behind"} the server's: ${advice}`;
}

const systemAdvice: Readonly<Record<string, string>> = {
  ECONNREFUSED: "connection refused: is a DNS server running there?",
  ECONNRESET: "connection reset",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network",
  ENOTFOUND: "no such host",
  EAI_AGAIN: "the server's name cannot be resolved now",
  ETIMEDOUT: "no answer",
};

/** `error` as the store's error "Cannot <action>: DNS server <server>: <why>". */
export function explainDns(
  error: unknown,
  { action, server }: { readonly action: string; readonly server: DnsServer },
): StunmeshError {
  const { host, port } = server;
  const place = `DNS server ${host.includes(":") ? `[${host}]` : host}:${port}`;
  const say = (why: string) => `Cannot ${action}: ${place}: ${why}`;
  if (error instanceof StunmeshError) return new StunmeshError(error.code, say(error.message), { cause: error.cause });
  if (error instanceof DnsFormatError) {
    return new StunmeshError("STORE_REPLY_INVALID", say(`the reply makes no sense: ${error.message}`), {
      cause: error,
    });
  }
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const text = error instanceof NoAnswerError ? error.message : (systemAdvice[code] ?? (code || String(error)));
  return new StunmeshError("STORE_UNAVAILABLE", say(text), { cause: error });
}
