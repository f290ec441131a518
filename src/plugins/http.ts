/**
 * `http`: any service that keeps texts by GET and PUT, such as contrib/cloudflare-worker. The protocol is in
 * docs/plugins.md: GET and PUT {url}/v1/{key}, the text itself as the body, its version as the ETag, and
 * GET ?since={version}&wait={seconds}, which is answered when there is another version.
 */
import * as z from "zod";
import { StunmeshError } from "../errors.ts";
import { type StoreOperation, storeAction } from "./action.ts";
import { type HttpReply, openHttpClient } from "./http-client.ts";
import { httpError } from "./http-errors.ts";
import { createVersions, watchHttp } from "./http-watch.ts";
import type { Plugin } from "./types.ts";
import { withoutEnd, withoutLineEnds } from "./value.ts";

const keyPattern = /^[0-9a-f]{40}$/i;

const tokenSchema = z.string().regex(/^[\x21-\x7e]+$/, "wanted: visible ASCII characters without blanks");

const httpSchema = z
  .strictObject({
    url: z
      .string()
      .trim()
      .refine(isBaseUrl, "wanted: a URL as https://host/path, without ? and #")
      .describe("Address of the service; /v1/ and the key are appended."),
    token: tokenSchema.optional().describe("Bearer token for reading and writing. Left out: none is sent."),
    read_token: tokenSchema.optional().describe("Bearer token for reading. @default token"),
    write_token: tokenSchema.optional().describe("Bearer token for writing. @default token"),
  })
  .transform(({ url, token, read_token, write_token }) => ({
    url: withoutEnd(url, "/"),
    tokens: { get: read_token ?? token, set: write_token ?? token },
  }));

export const http: Plugin<typeof httpSchema> = {
  schema: httpSchema,
  open({ url: base, tokens }, { name, clock }) {
    const secrets = [tokens.get, tokens.set].flatMap((token) => token ?? []);
    const client = openHttpClient({ clock, secrets });
    const versions = createVersions();

    function requestOf(operation: StoreOperation, key: string) {
      const action = storeAction(operation, name);
      if (!keyPattern.test(key)) {
        throw new StunmeshError("STORE_FAILED", `Cannot ${action}: a key is 40 hexadecimal characters`);
      }
      const token = tokens[operation];
      const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
      return { url: new URL(`${base}/v1/${key}`), action, headers };
    }
    /** Throws for what a captive portal or a wrong address answers, to a write as well, which then stored nothing. */
    function refusePage(reply: HttpReply, request: { readonly url: URL; readonly action: string }): void {
      const isPage = /^\s*(?:text\/html|application\/xhtml)\b/i.test(reply.headers["content-type"] ?? "");
      if (!isPage && !/^\s{0,100}<(?:!doctype|html)\b/i.test(reply.text)) return;
      const why = "it answers with a page for people: is the URL right, or does this network want a login?";
      throw httpError("STORE_REPLY_INVALID", { ...request, why });
    }
    function readValue(reply: HttpReply, request: { readonly url: URL; readonly action: string }): readonly string[] {
      refusePage(reply, request);
      const value = withoutLineEnds(reply.text);
      return value === "" ? [] : [value];
    }

    return {
      async get(key, signal) {
        const request = requestOf("get", key);
        const reply = await client.send({ ...request, signal, expect: [404] });
        const values = reply.status === 404 ? [] : readValue(reply, request);
        versions.saw(key, reply);
        return values;
      },
      async set(key, value, signal) {
        const { headers, ...request } = requestOf("set", key);
        const withType = { ...headers, "content-type": "text/plain; charset=utf-8" };
        refusePage(await client.send({ ...request, method: "PUT", headers: withType, body: value, signal }), request);
      },
      watch(keys, handlers) {
        return watchHttp({ keys, handlers, client, versions, clock, name, requestOf: (key) => requestOf("get", key) });
      },
      async close() {
        client.close();
      },
    };
  },
};

function isBaseUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname } = new URL(text);
  return (protocol === "http:" || protocol === "https:") && hostname !== "" && !/[?#]/.test(text);
}
