/**
 * Watching keys of an `http` store by long polls: GET ?since={version}&wait={seconds} is answered when the version under the
 * key is another one, or after the time with 304 (204 and 404 when there is nothing).
 */
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { StunmeshError } from "../errors.ts";
import type { HttpClient, HttpReply } from "./http-client.ts";
import type { WatchHandlers } from "./types.ts";
import { watchEach } from "./watch-each.ts";

/** Shorter than the 30 s after which many proxies and NATs give up a silent connection. */
const WAIT_S = 25;
const DEADLINE_MS = (WAIT_S + 10) * 1000;
/** At least this long between the beginnings of two requests for one key, whatever the service does. */
const PACE_MS = 1000;
/** An answer without change that came sooner than this was not waited for. */
const EARLY_MS = 2000;
/** So many of them in a row: the service does not wait. */
const MAX_EARLY = 3;

/** The versions of the watched keys that are known already. */
export interface Versions {
  /** Takes note of an answer to a GET. */
  saw(key: string, reply: HttpReply): void;
  known(key: string): string;
  watch(keys: readonly string[]): void;
  unwatch(keys: readonly string[]): void;
}

export function createVersions(): Versions {
  const versions = new Map<string, string>();
  return {
    saw(key, reply) {
      if (versions.has(key) && reply.status === 200) versions.set(key, readVersion(reply) ?? "");
    },
    known: (key) => versions.get(key) ?? "",
    watch(keys) {
      for (const key of keys) if (!versions.has(key)) versions.set(key, "");
    },
    unwatch(keys) {
      for (const key of keys) versions.delete(key);
    },
  };
}

interface WatchHttpOptions {
  readonly keys: readonly string[];
  readonly handlers: WatchHandlers;
  readonly client: HttpClient;
  readonly versions: Versions;
  readonly clock: Clock;
  /** Name of the plugin instance, for messages. */
  readonly name: string;
  /** How the value of a key is asked for. */
  requestOf(key: string): { readonly url: URL; readonly headers: Readonly<Record<string, string>> };
}

/** Reports new versions of `keys` until closed. Gives up when the service has no versions or does not wait. */
export function watchHttp(options: WatchHttpOptions): { close(): void } {
  const { keys, handlers, client, versions, clock, name, requestOf } = options;
  const action = `watch plugin "${name}"`;
  const early = new Map<string, number>();

  function impossible(why: string): StunmeshError {
    return new StunmeshError("STORE_FAILED", `Cannot ${action}: ${why}`);
  }

  async function poll(key: string, signal: AbortSignal): Promise<HttpReply> {
    const { url, headers } = requestOf(key);
    url.searchParams.set("since", versions.known(key));
    url.searchParams.set("wait", String(WAIT_S));
    return await withDeadline({ clock, timeoutMs: DEADLINE_MS, signal, action }, (inner) =>
      client.send({ url, headers, signal: inner, action, expect: [304, 404] }),
    );
  }

  async function watchKey(key: string, signal: AbortSignal): Promise<StunmeshError | undefined> {
    const beganMs = clock.monotonic();
    const reply = await poll(key, signal);
    const version = reply.status === 200 ? readVersion(reply) : versions.known(key);
    if (version === undefined) return impossible("the service sends no ETag");
    if (version !== versions.known(key)) {
      early.delete(key);
      versions.saw(key, reply);
      handlers.onChange(key);
    } else {
      const count = clock.monotonic() - beganMs < EARLY_MS ? (early.get(key) ?? 0) + 1 : 0;
      early.set(key, count);
      if (count >= MAX_EARLY) return impossible("the service answers at once instead of waiting for a change");
    }
    await clock.sleep(PACE_MS - (clock.monotonic() - beganMs), signal);
    return undefined;
  }

  versions.watch(keys);
  const watch = watchEach({ keys, handlers, clock, watchKey });
  return {
    close() {
      watch.close();
      versions.unwatch(keys);
    },
  };
}

/** The text of an ETag without its quotes, and without the W/ that compressing proxies put before it. */
function readVersion({ headers }: HttpReply): string | undefined {
  const [, version] = /^(?:W\/)?"([^"]+)"$/.exec(headers.etag ?? "") ?? [];
  return version;
}
