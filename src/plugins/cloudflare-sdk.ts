/**
 * Cloudflare's own client, cut down to what the two plugins ask for. In a file of its own because it is loaded by the first
 * call only: the whole package is 122 MB and takes longer to load than the daemon.
 */
import { BaseRecords } from "cloudflare/resources/dns/records";
import { BaseNamespaces } from "cloudflare/resources/kv/namespaces/namespaces";
import { BaseValues } from "cloudflare/resources/kv/namespaces/values";
import { BaseZones } from "cloudflare/resources/zones/zones";
import { createClient } from "cloudflare/tree-shakable";

export type CloudflareClient = ReturnType<typeof createCloudflareClient>;

interface ClientOptions {
  readonly token: string;
  readonly apiUrl: string;
  readonly fetch: typeof fetch;
}

/**
 * A client that asks through `fetch`. It never asks twice and has no deadline worth the name, because what stands around
 * every store does both; and it takes nothing from the environment, where somebody's CLOUDFLARE_API_KEY may be meant for
 * another program.
 */
export function createCloudflareClient({ token, apiUrl, fetch }: ClientOptions) {
  return createClient({
    resources: [BaseZones, BaseRecords, BaseNamespaces, BaseValues],
    apiToken: token,
    apiKey: null,
    apiEmail: null,
    userServiceKey: null,
    baseURL: apiUrl,
    maxRetries: 0,
    timeout: 60 * 60_000,
    logLevel: "off",
    fetch,
  });
}
