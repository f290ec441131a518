/**
 * Calls of the Cloudflare API v4, by Cloudflare's client over the HTTP client that all stores use: proxies, bounded answers
 * and no redirects to other hosts are that one's business, and its connections are kept between calls.
 *
 * Every call is paid from the token's budget first, and every answer checked before Cloudflare's client sees it, because
 * that takes `success: false` for an empty list.
 */
import type { Clock } from "../clock.ts";
import { StunmeshError } from "../errors.ts";
import { sharedCallBudget } from "./cloudflare-budget.ts";
import { checkReply, readRefusal, refusalError } from "./cloudflare-reply.ts";
import type { CloudflareClient } from "./cloudflare-sdk.ts";
import { openHttpClient } from "./http-client.ts";
import { httpError } from "./http-errors.ts";
import { scrub } from "./scrub.ts";
import { MAX_VALUE_CHARS } from "./value.ts";

/** Of an answer: a page of a thousand records is a tenth of it. */
const MAX_BYTES = 8 * 1024 * 1024;
/** Of a value: as many characters as one may have, of at most 4 bytes each. */
const MAX_RAW_BYTES = 4 * MAX_VALUE_CHARS;
/** Their envelopes say more than their statuses. */
const failures = Array.from({ length: 200 }, (_, index) => 400 + index);

interface CloudflareOptions {
  readonly token: string;
  /** Without a slash at its end. */
  readonly apiUrl: string;
  /** Calls in 5 minutes. */
  readonly callLimit: number;
  /** What the token must be allowed, for messages. */
  readonly rights: string;
  readonly clock: Clock;
}

interface CloudflareCall {
  /** For messages: "Cannot <action>: why". */
  readonly action: string;
  readonly signal: AbortSignal;
  /** True when a good answer has no envelope: the bytes of a value. @default false */
  readonly isRaw?: boolean;
}

export interface CloudflareApi {
  /**
   * Lets `ask` make calls. Throws STORE_UNAVAILABLE, STORE_FAILED or STORE_REPLY_INVALID, whose cause is what the API said
   * (readRefusal); rejects with the signal's reason when aborted.
   */
  call<Result>(call: CloudflareCall, ask: (client: CloudflareClient) => Promise<Result>): Promise<Result>;
  /** An error about an answer that makes no sense. */
  invalid(call: Pick<CloudflareCall, "action">, why: string): StunmeshError;
  close(): void;
}

/** Opens it; loads Cloudflare's client and connects with the first call. */
export function openCloudflare({ token, apiUrl, callLimit, rights, clock }: CloudflareOptions): CloudflareApi {
  const secrets = [token];
  const http = openHttpClient({ clock, secrets });
  const budget = sharedCallBudget({ clock, limit: callLimit, token, apiUrl });
  let sdk: Promise<typeof import("./cloudflare-sdk.ts")> | undefined;

  /** fetch() for one call: what it throws is an error of ours. */
  async function request(url: URL, init: RequestInit, { action, signal, isRaw }: CloudflareCall): Promise<Response> {
    await budget.spend(signal).catch((error: unknown) => {
      if (!(error instanceof StunmeshError)) throw error;
      throw httpError(error.code, { url, action, why: error.message, cause: error });
    });
    const { headers, ...body } = await encodeBody(init);
    const method = init.method ?? "GET";
    const authorization = `Bearer ${token}`;
    const wire = { url, method, ...body, headers: { ...headers, authorization }, action, signal };
    const reply = await http.send({ ...wire, expect: failures, maxBytes: isRaw ? MAX_RAW_BYTES : MAX_BYTES });
    const options = { url, action, rights, secrets, nowMs: clock.now() };
    const isFailure = reply.status >= 400;
    if (reply.status === 429) {
      const error = refusalError(reply, options);
      budget.block(readRefusal(error)?.retryAfterMs ?? 0);
      throw error;
    }
    if (isFailure || !isRaw) checkReply(reply, options);
    return new Response(reply.status === 204 ? null : reply.text, {
      status: reply.status,
      headers: { "content-type": reply.headers["content-type"] ?? "application/json" },
    });
  }

  const invalid: CloudflareApi["invalid"] = ({ action }, why) =>
    httpError("STORE_REPLY_INVALID", { url: new URL(apiUrl), action, why });

  return {
    async call(call, ask) {
      const { signal } = call;
      signal.throwIfAborted();
      sdk ??= import("./cloudflare-sdk.ts");
      const { createCloudflareClient } = await sdk;
      // Cloudflare's client wraps what fetch() throws, and drops it when it looks like a time-out.
      let failure: unknown;
      const fetch = async (input: string | URL | Request, init: RequestInit = {}) => {
        try {
          return await request(new URL(String(input)), init, call);
        } catch (error) {
          failure = error;
          throw error;
        }
      };
      // With a Response the client need not try this fetch() out before it sends a form.
      const client = createCloudflareClient({ token, apiUrl, fetch: Object.assign(fetch, { Response }) });
      try {
        return await ask(client);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        throw failure ?? (error instanceof StunmeshError ? error : invalid(call, scrub(String(error), secrets)));
      }
    },
    invalid,
    close: () => http.close(),
  };
}

/** The body as text, and the header fields that go with it. The client's own fields tell about this host: they stay here. */
async function encodeBody(
  init: RequestInit,
): Promise<{ readonly body?: string; readonly headers: Record<string, string> }> {
  const given = new Headers(init.headers);
  const accept = { accept: given.get("accept") ?? "application/json" };
  if (init.body === undefined || init.body === null) return { headers: accept };
  // Makes one text of a form, with the boundary in its content type.
  const encoded = new Response(init.body);
  const type = given.get("content-type") ?? encoded.headers.get("content-type") ?? "application/json";
  return { body: await encoded.text(), headers: { ...accept, "content-type": type } };
}
