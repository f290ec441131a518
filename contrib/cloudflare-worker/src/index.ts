/**
 * A store for stunmesh-ts on Cloudflare Workers: texts in Workers KV, by the protocol of the `http` plugin.
 *
 *   GET /v1/{key}                       200 with the value and its version as the ETag, or 404
 *   GET /v1/{key}?since={v}&wait={s}    200 as soon as the version is another than v, or after s seconds 304 (or 404)
 *   PUT /v1/{key}                       204
 *
 * Sees sealed values only. Without the secrets READ_TOKEN and WRITE_TOKEN it refuses everything.
 */
import { mayRead, mayWrite } from "./token.ts";

export interface Env {
  readonly RECORDS: KVNamespace;
  readonly READ_TOKEN?: string;
  readonly WRITE_TOKEN?: string;
  /** @default 86400 */
  readonly EXPIRATION_SECONDS?: string;
  /** @default 10 */
  readonly POLL_SECONDS?: string;
}

const MAX_VALUE_BYTES = 2048;
const MAX_WAIT_S = 60;
/** KV keeps nothing for a shorter time. */
const MIN_EXPIRATION_S = 60;
const pathPattern = /^\/v1\/([0-9a-f]{40})$/;

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    if (!env.READ_TOKEN || !env.WRITE_TOKEN) {
      return refuse(503, "READ_TOKEN and WRITE_TOKEN are not set: wrangler secret put READ_TOKEN");
    }
    const url = new URL(request.url);
    const isWrite = request.method === "PUT";
    if (!isWrite && request.method !== "GET") return refuse(405, "only GET and PUT", { allow: "GET, PUT" });
    if (!(await mayRead(request, env)))
      return refuse(401, "wrong or no bearer token", { "www-authenticate": "Bearer" });
    if (isWrite && !(await mayWrite(request, env))) return refuse(403, "this token may only read");
    const [, key] = pathPattern.exec(url.pathname) ?? [];
    if (key === undefined) return refuse(400, "the path is /v1/ and 40 lower-case hexadecimal characters");
    return isWrite ? await put(key, { request, env }) : await get(key, { query: url.searchParams, env });
  },
} satisfies ExportedHandler<Env>;

async function put(key: string, { request, env }: { readonly request: Request; readonly env: Env }): Promise<Response> {
  // Before the body is read, when the sender says how long it is; it need not.
  if (Number(request.headers.get("content-length") ?? 0) > MAX_VALUE_BYTES) return tooLong();
  const bytes = await readBytes(request);
  if (!bytes) return tooLong();
  const value = decodeText(bytes);
  if (!value) return refuse(400, "the value is no text");
  const expirationTtl = Math.max(MIN_EXPIRATION_S, numberOf(env.EXPIRATION_SECONDS, 86_400));
  try {
    await env.RECORDS.put(key, value, { expirationTtl });
  } catch (error) {
    // KV takes one write a second for a key, and a number of writes a day.
    const isTooMany = error instanceof Error && error.message.includes("429");
    const headers = { "retry-after": isTooMany ? "2" : "10" };
    return refuse(isTooMany ? 429 : 503, isTooMany ? "too many writes" : "KV does not take the value", headers);
  }
  return new Response(null, { status: 204, headers: { etag: `"${await versionOf(value)}"` } });
}

/**
 * KV cannot be watched, so that a waiting request looks again and again. A change made in another data centre is seen only
 * when KV brings it here, which takes up to a minute.
 */
async function get(
  key: string,
  { query, env }: { readonly query: URLSearchParams; readonly env: Env },
): Promise<Response> {
  const since = query.get("since");
  const everyMs = numberOf(env.POLL_SECONDS, 10) * 1000;
  const waitMs = everyMs > 0 && since !== null ? Math.min(numberOf(query.get("wait"), 0), MAX_WAIT_S) * 1000 : 0;
  const endMs = Date.now() + waitMs;
  for (;;) {
    const value = await env.RECORDS.get(key);
    const version = value === null ? "" : await versionOf(value);
    const headers = { etag: `"${version}"`, "cache-control": "no-store", "content-type": "text/plain; charset=utf-8" };
    if (value !== null && version !== since) return new Response(value, { headers });
    const leftMs = endMs - Date.now();
    if (leftMs <= 0)
      return value === null ? refuse(404, "nothing here yet") : new Response(null, { status: 304, headers });
    await scheduler.wait(Math.min(everyMs, leftMs));
  }
}

/** The body; undefined when it is too long. */
async function readBytes(request: Request): Promise<ArrayBuffer | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request.body ?? []) {
    length += chunk.length;
    if (length > MAX_VALUE_BYTES) return undefined;
    chunks.push(chunk);
  }
  return await new Blob(chunks).arrayBuffer();
}

function decodeText(bytes: ArrayBuffer): string | undefined {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return text.includes("\0") ? undefined : text;
  } catch {
    return undefined;
  }
}

/** Equal for equal values in every data centre, without anything being stored for it. */
async function versionOf(value: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(value));
  return [...new Uint8Array(digest).subarray(0, 12)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function numberOf(text: string | null | undefined, missing: number): number {
  const number = Number(text ?? missing);
  return Number.isFinite(number) && number >= 0 ? number : missing;
}

function tooLong(): Response {
  return refuse(413, `a value has at most ${MAX_VALUE_BYTES} bytes`);
}

function refuse(status: number, why: string, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(`${why}\n`, {
    status,
    headers: { "content-type": "text/plain; charset=utf-8", "cache-control": "no-store", ...headers },
  });
}
