/**
 * `cloudflare`: TXT records in a zone at Cloudflare, as STUNMESH-go keeps them: `<key>.<subdomain>.<zone>`, the bare value as
 * the content. Read by the API or, with `read: dns`, from the DNS.
 *
 * One record for each key: a set changes the newest and removes the others.
 */
import { domainToASCII } from "node:url";
import * as z from "zod";
import type { Clock } from "../clock.ts";
import { StunmeshError } from "../errors.ts";
import { type StoreOperation, storeAction } from "./action.ts";
import { createBatches } from "./batch.ts";
import { openCloudflare } from "./cloudflare-api.ts";
import { cloudflareOptions } from "./cloudflare-options.ts";
import { createTxtRecords, type RecordCall, type TxtRecords } from "./cloudflare-records.ts";
import { isResolver, openTxtLookup } from "./txt-lookup.ts";
import type { Plugin } from "./types.ts";
import { withoutEnd, withoutStart } from "./value.ts";

const keyPattern = /^[0-9a-f]{40}$/i;
/** Of the records a set removes: each costs a call. */
const MAX_REMOVED = 20;
/** How long a set trusts that the record it wrote is the only one: it saves the look before each set. */
const ID_KEPT_MS = 60 * 60_000;

const dnsName = z.string().transform((text, context) => {
  const name = domainToASCII(withoutEnd(withoutStart(text.trim(), "."), "."));
  if (text.trim() === "" || /^(?:[a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}$/.test(name)) return name;
  context.issues.push({ code: "custom", message: "must be a name in the DNS", input: text });
  return z.NEVER;
});

const cloudflareSchema = z
  .strictObject({
    zone: dnsName.refine((name) => name !== "", "must be the name of a zone").describe("The zone, or a name in it."),
    subdomain: dnsName.default("").describe("Records are below this name of the zone."),
    token: cloudflareOptions.token.describe("API token with Zone:Read and DNS:Edit of the zone."),
    read: z.enum(["api", "dns"]).default("api").describe("Where values are read: from the API, or from the DNS."),
    resolver: z
      .string()
      .trim()
      .refine(
        isResolver,
        "must be https://host/path of a resolver with DNS as JSON, or address[:port] of a name server",
      )
      .optional()
      .describe("For read: dns, what is asked instead of the name servers of this host."),
    call_limit: cloudflareOptions.call_limit,
    api_url: cloudflareOptions.api_url,
  })
  .refine(({ zone, subdomain }) => `${"0".repeat(40)}.${domainOf({ zone, subdomain })}`.length <= 253, {
    path: ["zone"],
    message: "subdomain and zone together are too long for a name in the DNS",
  })
  .refine(({ read, resolver }) => read === "dns" || resolver === undefined, {
    path: ["resolver"],
    message: "is for read: dns only",
  });

export const cloudflare: Plugin<typeof cloudflareSchema> = {
  schema: cloudflareSchema,
  // Longer ones are split by Cloudflare, which this program reads and STUNMESH-go does not.
  maxValueChars: 255,
  open(options, { name, clock }) {
    const { zone, token, read, resolver } = options;
    const rights = `Zone:Read and DNS:Edit of the zone "${zone}"`;
    const api = openCloudflare({ token, apiUrl: options.api_url, callLimit: options.call_limit, rights, clock });
    const records = createTxtRecords({ api, zone, domain: domainOf(options) });
    const lookup = read === "dns" ? openTxtLookup({ clock, resolver }) : undefined;
    const replace = createReplace({ records, clock });

    function callOf(
      operation: StoreOperation,
      { key, signal }: { readonly key: string; readonly signal: AbortSignal },
    ) {
      const action = storeAction(operation, name);
      if (!keyPattern.test(key)) {
        throw new StunmeshError("STORE_FAILED", `Cannot ${action}: a key is 40 hexadecimal characters`);
      }
      return { action, signal };
    }
    const readTogether = createBatches({
      clock,
      async load(keys, signal) {
        // One look at all records, if that takes fewer calls than one for each key.
        const maxCalls = keys.length - 1;
        return maxCalls > 0 ? records.findAll({ action: storeAction("get", name), signal, maxCalls }) : undefined;
      },
    });

    return {
      async get(key, signal) {
        signal.throwIfAborted();
        const call = callOf("get", { key, signal });
        if (lookup) return lookup.find({ ...call, name: records.nameOf(key) });
        const all = await readTogether(key, signal);
        const found = all ? all.get(records.nameOf(key)) : await records.find(key, call);
        return (found ?? []).map(({ value }) => value).filter((value) => value !== "");
      },
      async set(key, value, signal) {
        signal.throwIfAborted();
        await replace(key, value, callOf("set", { key, signal }));
      },
      async close() {
        api.close();
        lookup?.close();
      },
    };
  },
};

/** Makes the set: the one record of the key has the value afterwards. */
function createReplace({ records, clock }: { readonly records: TxtRecords; readonly clock: Clock }) {
  /** The record that this daemon wrote under a key. */
  const written = new Map<string, { readonly id: string; readonly atMs: number }>();

  function remember(key: string, id: string | undefined): void {
    if (id === undefined) written.delete(key);
    else written.set(key, { id, atMs: clock.monotonic() });
  }

  return async (key: string, value: string, call: RecordCall): Promise<void> => {
    const known = written.get(key);
    if (known && clock.monotonic() - known.atMs < ID_KEPT_MS) {
      if (await records.edit({ key, id: known.id }, value, call)) return;
      written.delete(key);
    }
    const [newest, ...others] = await records.find(key, call);
    if (newest && (await records.edit({ key, id: newest.id }, value, call))) remember(key, newest.id);
    else remember(key, await records.create(key, value, call));
    for (const { id } of others.slice(0, MAX_REMOVED)) await records.remove(id, call);
  };
}

function domainOf({ zone, subdomain }: { readonly zone: string; readonly subdomain: string }): string {
  return subdomain === "" ? zone : `${subdomain}.${zone}`;
}
