/**
 * `opendht`: the public DHT of OpenDHT, through the HTTP proxy that its nodes can offer. Same values as STUNMESH-go.
 *
 * Values cannot be replaced or removed and vanish after 10 minutes, so that several of one peer are there at a time, and
 * whatever somebody else put there: `get` returns them all, newest first, and who asked finds the one that can be opened.
 * REST interface: GET /key/{key} (one JSON object a line), POST /key/{key}, GET /key/{key}/listen (lines as they come).
 */
import * as z from "zod";
import { StunmeshError } from "../errors.ts";
import { storeAction } from "./action.ts";
import { createFailOver } from "./fail-over.ts";
import { openHttpClient } from "./http-client.ts";
import { decodeLine, type Envelope, encodePut, isProxyLine, sortValues } from "./opendht-envelope.ts";
import { createSeenValues, watchDht } from "./opendht-watch.ts";
import type { Plugin } from "./types.ts";
import { withoutEnd } from "./value.ts";

/** A value of the DHT has at most 64 KiB; lines of ours have less than one. */
const MAX_LINE_BYTES = 8 * 1024;
/** Everybody may put values under a key: what comes after this is not read. */
const MAX_REPLY_BYTES = 4 * 1024 * 1024;
/** A search in the DHT takes 2 to 6 seconds. */
const PATIENCE_MS = 7000;
const keyPattern = /^[0-9a-f]{40}$/i;

const endpointSchema = z
  .string()
  .trim()
  .refine((text) => text === "" || isProxyUrl(text), "wanted: the URL of a proxy, as http://host:port or https://host");

const opendhtSchema = z
  .strictObject({
    endpoint: endpointSchema.default("").describe("URL of an OpenDHT proxy, such as https://dhtproxy2.jami.net."),
    endpoints: z.array(endpointSchema).default([]).describe("More proxies, asked in this order when one fails."),
    magic: z
      .string()
      .default("")
      .describe("Marks the values of this mesh; the same on all peers. @default stunmesh-v1"),
  })
  .refine(({ endpoint, endpoints }) => [endpoint, ...endpoints].some(Boolean), {
    message: "missing: the URL of a proxy wanted",
    path: ["endpoint"],
  })
  .transform(({ endpoint, endpoints, magic }) => ({
    endpoints: [...new Set([endpoint, ...endpoints].map((text) => withoutEnd(text, "/")).filter(Boolean))],
    magic: magic || "stunmesh-v1",
  }));

export const opendht: Plugin<typeof opendhtSchema> = {
  schema: opendhtSchema,
  expiresAfterMs: 10 * 60_000,
  open({ endpoints, magic }, { name, clock }) {
    const client = openHttpClient({ clock });
    const failOver = createFailOver({ places: endpoints, clock, patienceMs: PATIENCE_MS });
    const seen = createSeenValues();
    /** When the last value of a key was put, in seconds: two of one second would be in no order. */
    const lastPut = new Map<string, number>();

    function urlOf(endpoint: string, { key, action }: { readonly key: string; readonly action: string }): URL {
      if (keyPattern.test(key)) return new URL(`${endpoint}/key/${key}`);
      throw new StunmeshError("STORE_FAILED", `Cannot ${action}: a key is 40 hexadecimal characters`);
    }

    return {
      get(key, signal) {
        const action = storeAction("get", name);
        // A proxy that lost the other nodes says "nothing" in good faith.
        const isEnough = (values: readonly string[]) => values.length > 0;
        return failOver({ signal, action, isEnough }, async (endpoint, inner) => {
          const url = urlOf(endpoint, { key, action });
          const { lines } = await client.open({
            url,
            signal: inner,
            action,
            maxLineBytes: MAX_LINE_BYTES,
            maxBytes: MAX_REPLY_BYTES,
          });
          const envelopes: Envelope[] = [];
          let isProxy = false;
          let isOther = false;
          for await (const line of lines) {
            const envelope = decodeLine(line, { magic });
            if (envelope) envelopes.push(envelope);
            if (isProxyLine(line)) isProxy = true;
            else if (line !== "") isOther = true;
          }
          if (isOther && !isProxy) {
            throw notAProxy(url, action);
          }
          for (const { value } of envelopes) seen.isNew(key, value);
          return sortValues(envelopes, { nowSeconds: clock.now() / 1000 });
        });
      },
      async set(key, value, signal) {
        const action = storeAction("set", name);
        const seconds = Math.max(Math.floor(clock.now() / 1000), (lastPut.get(key) ?? 0) + 1);
        lastPut.set(key, seconds);
        const body = encodePut({ value, seconds }, { magic });
        const headers = { "content-type": "application/json" };
        await failOver({ signal, action }, async (endpoint, inner) => {
          const url = urlOf(endpoint, { key, action });
          const reply = await client.send({ url, method: "POST", headers, body, signal: inner, action });
          // A proxy repeats the value. The page of a captive portal says 200 as well, and stored nothing.
          const [first = ""] = reply.text.trim().split("\n", 1);
          if (first !== "" && !isProxyLine(first)) throw notAProxy(url, action);
        });
      },
      watch(keys, handlers) {
        return watchDht({ keys, handlers, client, endpoints, magic, seen, clock, maxLineBytes: MAX_LINE_BYTES, name });
      },
      async close() {
        client.close();
      },
    };
  },
};

function notAProxy({ origin }: URL, action: string): StunmeshError {
  const why = `"${origin}" answers in something else than lines of JSON: is it an OpenDHT proxy?`;
  return new StunmeshError("STORE_REPLY_INVALID", `Cannot ${action}: ${why}`);
}

function isProxyUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, search, hash } = new URL(text);
  return (protocol === "http:" || protocol === "https:") && hostname !== "" && search === "" && hash === "";
}
