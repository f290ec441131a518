/** The options of the `redis` plugin. */
import * as z from "zod";

const HOUR_MS = 3_600_000;
/** A record is written again after at most half of this, so that it is never missing while its daemon runs. */
export const MIN_EXPIRATION_MS = HOUR_MS;
const MAX_EXPIRATION_MS = 366 * 24 * HOUR_MS;

/** Where the server is, and who we are there. */
export interface RedisAddress {
  /** Name or IP literal, without brackets. */
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
}

const secretText = z.union([z.string(), z.number().transform(String)]);

export const redisSchema = z
  .strictObject({
    url: z
      .string()
      .transform((text, context) => {
        const address = parseRedisUrl(text);
        if (address) return address;
        // The text is not shown: it may hold a password.
        const message = "must be redis://[user:password@]host[:port][/database], or rediss:// for TLS";
        context.issues.push({ code: "custom", message, input: "" });
        return z.NEVER;
      })
      .describe("The server: redis://[user:password@]host[:port][/database], or rediss:// for TLS."),
    username: secretText.optional().describe("Name of an ACL user; without, the server's default user."),
    password: secretText.optional().describe("Password, when it is not in the URL."),
    ca: z
      .string()
      .regex(/-----BEGIN CERTIFICATE-----/, "must be a certificate in PEM, best by reference: { file: ca.pem }")
      .optional()
      .describe("PEM of the authority that signed the server's certificate, instead of the well-known ones."),
    prefix: z.string().max(200).default("stunmesh:").describe("What all keys and channels begin with."),
    expiration: z
      .string()
      .transform((text, context) => {
        const ms = parseHours(text);
        if (ms !== undefined && ms >= MIN_EXPIRATION_MS && ms <= MAX_EXPIRATION_MS) return ms;
        context.issues.push({
          code: "custom",
          message: "must be a duration from 1h to 8784h, such as 24h",
          input: text,
        });
        return z.NEVER;
      })
      .prefault("24h")
      .describe("A value vanishes when it was not written again for this long. At least 1h."),
  })
  .transform(({ url, username, password, ca, prefix, expiration }) => ({
    address: { ...url, username: username ?? url.username, password: password ?? url.password },
    ca,
    prefix,
    expirationMs: expiration,
  }));

/** Parses `redis://` and `rediss://` URLs; undefined for anything else. */
export function parseRedisUrl(text: string): RedisAddress | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^rediss?:$/.test(url.protocol) || url.hostname === "" || url.search !== "" || url.hash !== "") {
    return undefined;
  }
  const database = /^\/?(\d{0,5})$/.exec(url.pathname)?.[1];
  const username = decodePart(url.username);
  const password = decodePart(url.password);
  if (database === undefined || username === undefined || password === undefined) return undefined;
  return {
    host: url.hostname.replace(/^\[|\]$/g, ""),
    port: url.port === "" ? 6379 : Number(url.port),
    isTls: url.protocol === "rediss:",
    username: username === "" ? undefined : username,
    password: password === "" ? undefined : password,
    database: Number(database),
  };
}

function decodePart(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    // A stray "%": the URL is wrong, and what it says must not be shown.
    return undefined;
  }
}

/** Milliseconds of `24h`, `90m`, `1h30m`. */
function parseHours(text: string): number | undefined {
  const match = /^(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?$/.exec(text);
  if (!match || text === "") return undefined;
  const [, hours = "0", minutes = "0", seconds = "0"] = match;
  return (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
}
