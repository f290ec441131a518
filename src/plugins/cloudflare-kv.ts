/**
 * `cloudflare-kv`: a namespace of Cloudflare Workers KV, by its API. A value lies under `<prefix><key>` as text.
 *
 * KV is fast to read everywhere and slow to agree: another place may see the older value, or none, for a minute.
 */
import * as z from "zod";
import { StunmeshError } from "../errors.ts";
import { type StoreOperation, storeAction } from "./action.ts";
import { createBatches } from "./batch.ts";
import { openCloudflare } from "./cloudflare-api.ts";
import { cloudflareOptions } from "./cloudflare-options.ts";
import { readRefusal } from "./cloudflare-reply.ts";
import type { Plugin } from "./types.ts";
import { withoutLineEnds } from "./value.ts";

const KEY_UNKNOWN = 10009;
/** Keys that one call may ask for. */
const MAX_BATCH = 100;
/** Cloudflare keeps a value for a minute at least. */
const MIN_EXPIRATION_MS = 60_000;
const MAX_EXPIRATION_MS = 366 * 24 * 3_600_000;

const id = (what: string) =>
  z
    .string()
    .trim()
    .regex(/^[0-9a-f]{32}$/i, `must be the ID of ${what}: 32 hexadecimal characters`);

const kvSchema = z.strictObject({
  account: id("an account").describe("ID of the account, from the dashboard."),
  namespace: id("a namespace").describe("ID (not the name) of the KV namespace."),
  token: cloudflareOptions.token.describe("API token with Workers KV Storage:Edit of the account."),
  prefix: z.string().max(400).default("").describe("What all keys begin with."),
  expiration: z
    .string()
    .transform((text, context) => {
      const ms = parseDuration(text);
      if (ms !== undefined && ms >= MIN_EXPIRATION_MS && ms <= MAX_EXPIRATION_MS) return ms;
      context.issues.push({ code: "custom", message: "must be a duration of 60s at least, such as 24h", input: text });
      return z.NEVER;
    })
    .optional()
    .describe("A value vanishes when it was not written again for this long. At least 60s."),
  call_limit: cloudflareOptions.call_limit,
  api_url: cloudflareOptions.api_url,
});

const bulkSchema = z.object({ values: z.record(z.string(), z.union([z.string(), z.null()])) });

export const cloudflareKv: Plugin<typeof kvSchema> = {
  schema: kvSchema,
  open(options, { name, clock }) {
    const { account, namespace, token, prefix, expiration } = options;
    const rights = "Workers KV Storage:Edit of the account";
    const api = openCloudflare({ token, apiUrl: options.api_url, callLimit: options.call_limit, rights, clock });
    const place = { account_id: account, namespace_id: namespace };

    function callOf(
      operation: StoreOperation,
      { key, signal }: { readonly key: string; readonly signal: AbortSignal },
    ) {
      const action = storeAction(operation, name);
      if (!/^[0-9a-f]{40}$/i.test(key)) {
        throw new StunmeshError("STORE_FAILED", `Cannot ${action}: a key is 40 hexadecimal characters`);
      }
      return { action, signal };
    }
    async function readOne(key: string, call: { readonly action: string; readonly signal: AbortSignal }) {
      try {
        return await api.call({ ...call, isRaw: true }, async ({ kv }) => {
          const reply = await kv.namespaces.values.get(`${prefix}${key}`, place, { signal: call.signal });
          return await reply.text();
        });
      } catch (error) {
        if (readRefusal(error)?.codes.includes(KEY_UNKNOWN)) return undefined;
        throw explain(error, { action: call.action });
      }
    }
    /** The values there are, by one call for every 100 keys. */
    async function readMany(keys: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, string | null>> {
      const call = { action: storeAction("get", name), signal };
      const found = new Map<string, string | null>();
      for (let first = 0; first < keys.length; first += MAX_BATCH) {
        const wanted = keys.slice(first, first + MAX_BATCH).map((key) => `${prefix}${key}`);
        const answer = await api
          .call(call, ({ kv }) =>
            kv.namespaces.bulkGet(namespace, { account_id: account, keys: wanted, type: "text" }, { signal }),
          )
          .catch((error: unknown) => {
            throw explain(error, call);
          });
        const values = bulkSchema.safeParse(answer);
        if (!values.success) throw api.invalid(call, "its list of values has another form than documented");
        for (const [key, value] of Object.entries(values.data.values)) found.set(key, value);
      }
      return found;
    }
    const readTogether = createBatches({
      clock,
      load: async (keys, signal) => (keys.length > 1 ? readMany(keys, signal) : undefined),
    });

    return {
      async get(key, signal) {
        signal.throwIfAborted();
        const call = callOf("get", { key, signal });
        const all = await readTogether(key, signal);
        const value = all ? all.get(`${prefix}${key}`) : await readOne(key, call);
        const text = withoutLineEnds(value ?? "");
        return text === "" ? [] : [text];
      },
      async set(key, value, signal) {
        signal.throwIfAborted();
        const call = callOf("set", { key, signal });
        const lifetime = expiration === undefined ? {} : { expiration_ttl: Math.ceil(expiration / 1000) };
        try {
          await api.call(call, ({ kv }) =>
            kv.namespaces.values.update(`${prefix}${key}`, { ...place, ...lifetime, value }, { signal }),
          );
        } catch (error) {
          throw explain(error, call);
        }
      },
      async close() {
        api.close();
      },
    };
  },
};

/** A 404 that is not about a key is about what the file says. */
function explain(error: unknown, { action }: { readonly action: string }): unknown {
  const refusal = readRefusal(error);
  if (refusal?.status !== 404) return error;
  const why = `the account has no KV namespace of this ID: are "account" and "namespace" right? (${refusal.words})`;
  return new StunmeshError("STORE_UNAVAILABLE", `Cannot ${action}: ${why}`, { cause: error });
}

const unitMs: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000 };

/** Milliseconds of `90s`, `1h30m`, `24h`; undefined for anything else. */
function parseDuration(text: string): number | undefined {
  if (!/^(?:\d{1,9}[smh])+$/.test(text)) return undefined;
  return [...text.matchAll(/(\d+)([smh])/gy)].reduce(
    (ms, [, count, unit = ""]) => ms + Number(count) * (unitMs[unit] ?? 0),
    0,
  );
}
