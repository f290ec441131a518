/**
 * `rfc2136`: TXT records of any DNS server that takes dynamic updates (RFC 2136) signed with TSIG (RFC 8945): BIND, Knot,
 * PowerDNS, Windows ...
 *
 * The record of a key is `<key>.<subdomain>.<zone>`. A set removes what is there and adds the value in one message, which the
 * server carries out as a whole or not at all.
 */
import { randomInt } from "node:crypto";
import * as z from "zod";
import type { Clock } from "../clock.ts";
import { storeAction } from "./action.ts";
import { type DnsServer, exchangeDns } from "./rfc2136-exchange.ts";
import { explainDns, rcodeError, tsigError, untrustedError } from "./rfc2136-failure.ts";
import { type KeyText, parseAlgorithm, parseKeyText } from "./rfc2136-key.ts";
import {
  type DnsMessage,
  decodeTxt,
  encodeTxtQuery,
  encodeTxtUpdate,
  recordClass,
  recordType,
} from "./rfc2136-message.ts";
import { DnsFormatError, parseDnsName } from "./rfc2136-name.ts";
import { findTsig, isTimely, signMessage, type TsigKey, tsigAlgorithms, whyNotGenuine } from "./rfc2136-tsig.ts";
import type { Plugin } from "./types.ts";

const NOERROR = 0;
const NXDOMAIN = 3;

const dnsName = (what: string) =>
  z.string().transform((text, context) => {
    const name = parseDnsName(text);
    if (name !== undefined) return name;
    context.issues.push({ code: "custom", message: `must be ${what}`, input: text });
    return z.NEVER;
  });
const serverName = z.string().transform((text, context) => {
  const server = parseDnsServer(text);
  if (server) return server;
  context.issues.push({ code: "custom", message: "must be host, host:port or [address]:port", input: text });
  return z.NEVER;
});

const rfc2136Schema = z
  .strictObject({
    server: serverName.describe("The zone's primary server: host, host:port or [address]:port. Port 53 unless given."),
    zone: dnsName("the name of a zone, such as example.net").describe("The zone that is updated."),
    subdomain: dnsName("a name below the zone, such as mesh")
      .optional()
      .describe("Records are below this name of the zone."),
    key_name: dnsName("the name of a TSIG key")
      .optional()
      .describe("Name of the TSIG key, exactly as the server has it. Not needed when key_secret is a key file."),
    key_secret: z
      .string()
      .transform((text, context) => {
        const key = parseKeyText(text);
        if (key) return key;
        const message = "must be the key's secret in base64, or a key file as tsig-keygen writes it, with one key";
        context.issues.push({ code: "custom", message, input: "" });
        return z.NEVER;
      })
      .describe("The TSIG key's secret in base64, or the file that tsig-keygen wrote: { file: PATH }."),
    algorithm: z
      .string()
      .meta({ enum: tsigAlgorithms })
      .transform((text, context) => {
        const algorithm = parseAlgorithm(text);
        if (algorithm) return algorithm;
        const message = `must be one of ${tsigAlgorithms.join(", ")}`;
        context.issues.push({ code: "custom", message, input: "" });
        return z.NEVER;
      })
      .optional()
      .describe("Of the TSIG key. @default hmac-sha256, or what the key file says"),
    read_server: serverName.optional().describe("Server that is asked for values, when it is not `server`."),
    ttl: z.int().min(0).max(86_400).default(60).describe("Seconds that other servers may remember a value."),
    tcp: z.boolean().default(false).describe("Use TCP only, where UDP does not pass."),
  })
  .refine(({ zone, subdomain }) => parseDnsName(`${"0".repeat(40)}.${placeOf({ zone, subdomain })}`) !== undefined, {
    path: ["zone"],
    message: "subdomain and zone together are too long for a name in the DNS",
  })
  .transform((options, context) => {
    const { key_name, key_secret, algorithm, ...rest } = options;
    const key = selectKey({ name: key_name, algorithm, text: key_secret });
    if ("secret" in key) return { ...rest, key };
    context.issues.push({ code: "custom", path: [key.option], message: key.problem, input: "" });
    return z.NEVER;
  });

export const rfc2136: Plugin<typeof rfc2136Schema> = {
  schema: rfc2136Schema,
  open(options, { name, clock }) {
    const { server, zone, ttl, key } = options;
    const below = placeOf(options);
    const ask = (to: DnsServer, request: Buffer, signal: AbortSignal) =>
      exchangeDns({ server: to, request, isTcpOnly: options.tcp, clock, signal });

    return {
      async get(storageKey, signal) {
        const to = options.read_server ?? server;
        try {
          const recordName = `${storageKey}.${below}`;
          const message = await ask(to, encodeTxtQuery({ id: randomId(), name: recordName }), signal);
          if (message.rcode === NXDOMAIN) return [];
          if (message.rcode !== NOERROR) throw rcodeError(message.rcode, { isUpdate: false, zone, key });
          // A CNAME in between has another name; what it leads to counts.
          return readValues(
            message.answers.filter(({ type, class: of }) => type === recordType.TXT && of === recordClass.IN),
          );
        } catch (error) {
          if (signal.aborted) throw signal.reason;
          throw explainDns(error, { action: storeAction("get", name), server: to });
        }
      },
      async set(storageKey, value, signal) {
        try {
          const recordName = `${storageKey}.${below}`;
          const update = encodeTxtUpdate({ id: randomId(), zone, name: recordName, value, ttlSeconds: ttl });
          const { bytes, mac } = signMessage(update, { key, nowSeconds: nowSeconds(clock) });
          const reply = await ask(server, bytes, signal);
          checkUpdateReply(reply, { key, requestMac: mac, zone, clock });
        } catch (error) {
          if (signal.aborted) throw signal.reason;
          throw explainDns(error, { action: storeAction("set", name), server });
        }
      },
    };
  },
};

/** Throws unless the server says, provably, that the update was carried out. */
function checkUpdateReply(
  message: DnsMessage,
  {
    key,
    requestMac,
    zone,
    clock,
  }: { readonly key: TsigKey; readonly requestMac: Buffer; readonly zone: string; readonly clock: Clock },
): void {
  const tsig = findTsig(message);
  const now = nowSeconds(clock);
  // Who does not know the key, or does not believe us, cannot sign (RFC 8945 section 5.2): failures count without a signature.
  if (tsig && tsig.error !== 0) throw tsigError(tsig, { key, zone, nowSeconds: now });
  if (message.rcode !== NOERROR) throw rcodeError(message.rcode, { isUpdate: true, zone, key });
  if (!tsig) throw untrustedError("it is not signed");
  const why = whyNotGenuine(message.bytes, { tsig, key, requestMac });
  if (why !== undefined) throw untrustedError(why);
  if (!isTimely(tsig, now))
    throw untrustedError("it was signed at another time: are this host's and the server's clock right?");
}

/** The values of TXT records. One that is no text of ours must not hide the others. */
function readValues(records: readonly { readonly data: Buffer }[]): readonly string[] {
  const values: string[] = [];
  let failure: unknown;
  for (const { data } of records) {
    try {
      values.push(decodeTxt(data));
    } catch (error) {
      if (!(error instanceof DnsFormatError)) throw error;
      failure = error;
    }
  }
  if (values.length === 0 && failure !== undefined) throw failure;
  return values;
}

/** The key of the options, or what is wrong: a key file may say all of it, and must not contradict them. */
function selectKey({
  name,
  algorithm,
  text,
}: {
  readonly name: string | undefined;
  readonly algorithm: TsigKey["algorithm"] | undefined;
  readonly text: KeyText;
}): TsigKey | { readonly option: string; readonly problem: string } {
  const selectedName = name ?? text.name;
  if (selectedName === undefined) return { option: "key_name", problem: "missing: the name of a TSIG key wanted" };
  if (text.name !== undefined && text.name !== selectedName) {
    return { option: "key_name", problem: "is another name than that in the key file: leave it out, or correct it" };
  }
  if (algorithm !== undefined && text.algorithm !== undefined && text.algorithm !== algorithm) {
    return { option: "algorithm", problem: "is another than that in the key file: leave it out, or correct it" };
  }
  return { name: selectedName, algorithm: algorithm ?? text.algorithm ?? "hmac-sha256", secret: text.secret };
}

/** `host`, `host:port`, `address`, `[address]:port`, and `host@port`, `host#port` as other programs of the DNS write it. */
function parseDnsServer(text: string): DnsServer | undefined {
  const [, place = "", port = ""] = /^([^@#]+)[@#](\d{1,5})$/.exec(text.trim()) ?? [];
  if (port === "") return parseHostPort(text);
  const colons = place.split(":").length - 1;
  // With one colon there is a port already.
  if (colons === 0 || (place.startsWith("[") && place.endsWith("]"))) return parseHostPort(`${place}:${port}`);
  return colons === 1 ? undefined : parseHostPort(`[${place}]:${port}`);
}

function parseHostPort(text: string): DnsServer | undefined {
  const match = /^(?:\[([0-9a-f:.%\w]+)\]|([0-9a-f]*:[0-9a-f.]*:[0-9a-f:.]*)|([\w.-]+))(?::(\d{1,5}))?$/i.exec(
    text.trim(),
  );
  if (!match) return undefined;
  const [, bracketed, ipv6, host, port = "53"] = match;
  const number = Number(port);
  return number >= 1 && number <= 65_535 ? { host: bracketed ?? ipv6 ?? host ?? "", port: number } : undefined;
}

/** The name that records are below. */
function placeOf({ zone, subdomain }: { readonly zone: string; readonly subdomain?: string | undefined }): string {
  return subdomain === undefined ? zone : `${subdomain}.${zone}`;
}

function randomId(): number {
  return randomInt(0x10000);
}

function nowSeconds(clock: Clock): number {
  return Math.floor(clock.now() / 1000);
}
