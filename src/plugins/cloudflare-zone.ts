/** Which zone of a Cloudflare account has a name: the zone itself, or the longest of the names above it. */
import * as z from "zod";
import { abortable } from "../abortable.ts";
import { StunmeshError } from "../errors.ts";
import type { CloudflareApi } from "./cloudflare-api.ts";

const zonesSchema = z.array(z.object({ id: z.string().min(1), name: z.string() }));

interface ZoneCall {
  readonly action: string;
  readonly signal: AbortSignal;
}

export interface ZoneFinder {
  /** The id of the zone, remembered. Throws STORE_UNAVAILABLE when no zone has the name. */
  find(call: ZoneCall): Promise<string>;
  /** Has it looked up again: the API does not know the id `id` any more. */
  forget(id: string): void;
}

/** Finds the zone of `name`, which may be a name inside it. */
export function createZoneFinder({ api, name }: { readonly api: CloudflareApi; readonly name: string }): ZoneFinder {
  let known: string | undefined;
  /** All calls that find no zone known wait for one look. */
  let look: { readonly id: Promise<string>; readonly signal: AbortSignal } | undefined;

  async function lookUp(call: ZoneCall): Promise<string> {
    const candidates = namesAbove(name);
    for (const candidate of candidates) {
      const page = await api.call(call, (client) =>
        client.zones.list({ name: candidate, per_page: 50 }, { signal: call.signal }),
      );
      const zones = zonesSchema.safeParse(page.result);
      if (!zones.success) throw api.invalid(call, "its list of zones has another form than documented");
      const zone = zones.data.find((one) => one.name.toLowerCase() === candidate);
      if (zone) return zone.id;
    }
    throw new StunmeshError(
      "STORE_UNAVAILABLE",
      `Cannot ${call.action}: the token sees no zone "${name}": is it in this account, and has the token Zone:Read for it?`,
    );
  }
  return {
    async find(call) {
      const { signal } = call;
      while (known === undefined) {
        look ??= { id: lookUp(call), signal };
        const current = look;
        try {
          known = await abortable(current.id, signal);
        } catch (error) {
          signal.throwIfAborted();
          // Whose look it was gave up: the next one looks.
          if (!current.signal.aborted) throw error;
        } finally {
          if (look === current) look = undefined;
        }
      }
      return known;
    },
    forget(id) {
      if (known === id) known = undefined;
    },
  };
}

/** "a.example.com" and "example.com"; a single label is no zone of anybody's. */
function namesAbove(name: string): readonly string[] {
  const labels = name.split(".");
  return labels.slice(0, Math.max(1, labels.length - 1)).map((_label, index) => labels.slice(index).join("."));
}
