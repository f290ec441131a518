/** The options that both plugins of Cloudflare have. */
import * as z from "zod";
import { withoutEnd } from "./value.ts";

/** 40 % of the 1,200 calls in 5 minutes that Cloudflare allows, so that a few daemons and a dashboard fit beside. */
const DEFAULT_CALL_LIMIT = 480;

export const cloudflareOptions = {
  token: z
    .string()
    .trim()
    .regex(/^[\x21-\x7e]+$/, "must be the token alone: visible ASCII characters without blanks")
    .describe("API token."),
  call_limit: z
    .int()
    .min(10)
    .max(1_000_000)
    .default(DEFAULT_CALL_LIMIT)
    .describe("Most calls of the API in 5 minutes, of everything in this daemon that has the same token."),
  api_url: z
    .string()
    .trim()
    .refine(isApiUrl, "must be a URL as https://host/path, without ? and #")
    .default("https://api.cloudflare.com/client/v4")
    .transform((url) => withoutEnd(url, "/"))
    .describe("Address of the API, for gateways and tests."),
};

function isApiUrl(text: string): boolean {
  return /^https?:\/\/[^/?#]/.test(text) && !/[?#]/.test(text) && URL.canParse(text);
}
