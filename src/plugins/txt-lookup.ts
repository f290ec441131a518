/**
 * TXT records by DNS, without any account: from the name servers of this host, from one name server, or by HTTPS in the
 * JSON form of public resolvers (Cloudflare, Google, Quad9, AdGuard).
 *
 * A resolver remembers answers, and also that there was none: what it says may be older than its service.
 */
import { isIP } from "node:net";
import * as z from "zod";
import type { Clock } from "../clock.ts";
import { StunmeshError } from "../errors.ts";
import { openHttpClient } from "./http-client.ts";
import { httpError } from "./http-errors.ts";
import { parseTxtContent } from "./txt-content.ts";

interface TxtQuestion {
  readonly name: string;
  /** For messages: "Cannot <action>: why". */
  readonly action: string;
  readonly signal: AbortSignal;
}

export interface TxtLookup {
  /** The values of all TXT records of a name, in no order. Throws as a store does. */
  find(question: TxtQuestion): Promise<readonly string[]>;
  close(): void;
}

/** `https://...` or `address[:port]`. */
export function isResolver(text: string): boolean {
  return isUrl(text) || parseNameServer(text) !== undefined;
}

/** Opens it; without a `resolver` it asks the name servers of this host. */
export function openTxtLookup({
  clock,
  resolver,
}: {
  readonly clock: Clock;
  readonly resolver?: string | undefined;
}): TxtLookup {
  return resolver !== undefined && isUrl(resolver)
    ? openHttpsLookup({ clock, url: new URL(resolver) })
    : openDnsLookup(resolver === undefined ? undefined : parseNameServer(resolver));
}

/** No such name, and no TXT record of this name. */
const absences = new Set(["ENOTFOUND", "ENODATA"]);

function openDnsLookup(server: string | undefined): TxtLookup {
  return {
    async find({ name, action, signal }) {
      signal.throwIfAborted();
      const { Resolver } = await import("node:dns/promises");
      const resolver = new Resolver();
      if (server) resolver.setServers([server]);
      const cancel = () => resolver.cancel();
      signal.addEventListener("abort", cancel, { once: true });
      try {
        const records = await resolver.resolveTxt(name);
        return records.map((strings) => strings.join("").trim());
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        const code = error instanceof Error && "code" in error ? String(error.code) : String(error);
        if (absences.has(code)) return [];
        const asked = server ? `the name server "${server}"` : "the name servers of this host";
        throw new StunmeshError(
          "STORE_UNAVAILABLE",
          `Cannot ${action}: ${asked} did not answer for "${name}": ${code}`,
          {
            cause: error,
          },
        );
      } finally {
        signal.removeEventListener("abort", cancel);
      }
    },
    close: () => undefined,
  };
}

const NOERROR = 0;
const NXDOMAIN = 3;
const TYPE_TXT = 16;
const answerSchema = z.object({
  Status: z.int(),
  Answer: z.array(z.object({ type: z.int(), data: z.string() })).default([]),
});

function openHttpsLookup({ clock, url: base }: { readonly clock: Clock; readonly url: URL }): TxtLookup {
  const http = openHttpClient({ clock });
  return {
    async find({ name, action, signal }) {
      const url = new URL(base);
      url.searchParams.set("name", name);
      url.searchParams.set("type", "TXT");
      const { text } = await http.send({ url, action, signal, headers: { accept: "application/dns-json" } });
      const answer = answerSchema.safeParse(parseJson(text));
      if (!answer.success) {
        const why = "its answer is not DNS as JSON (application/dns-json): is the URL that of a resolver which has it?";
        throw httpError("STORE_REPLY_INVALID", { url, action, why });
      }
      const { Status: status, Answer: records } = answer.data;
      if (status === NXDOMAIN) return [];
      if (status !== NOERROR) {
        throw httpError("STORE_UNAVAILABLE", { url, action, why: `it cannot resolve "${name}": rcode ${status}` });
      }
      return records.filter(({ type }) => type === TYPE_TXT).map(({ data }) => parseTxtContent(data));
    },
    close: () => http.close(),
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The schema says what is wrong with it.
    return undefined;
  }
}

function isUrl(text: string): boolean {
  return /^https?:\/\/[^/?#]/.test(text) && URL.canParse(text);
}

/** As Node's resolver wants it: 192.0.2.1:53 or [2001:db8::1]:53. */
function parseNameServer(text: string): string | undefined {
  const [, bracketed, bare = "", port = "53"] =
    /^(?:\[([^\]]+)\]|([^:]+|[^:]*:.*:[^:]*?))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const address = isIP(text) === 6 ? text : (bracketed ?? bare);
  if (isIP(text) === 6) return `[${text}]:53`;
  if (isIP(address) === 0 || Number(port) < 1 || Number(port) > 65_535) return undefined;
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}
