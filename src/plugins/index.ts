/**
 * The table of storage backends, and how one is opened: the only place that knows which rules stand around all of them.
 */
import type { Clock } from "../clock.ts";
import { StunmeshError } from "../errors.ts";
import { cloudflare } from "./cloudflare.ts";
import { cloudflareKv } from "./cloudflare-kv.ts";
import { exec } from "./exec.ts";
import { file } from "./file.ts";
import { http } from "./http.ts";
import { module } from "./module.ts";
import { opendht } from "./opendht.ts";
import { redis } from "./redis.ts";
import { rfc2136 } from "./rfc2136.ts";
import { shell } from "./shell.ts";
import type { Plugin, Store } from "./types.ts";
import { backOff } from "./wrappers/backoff.ts";
import { checkReplies } from "./wrappers/checked.ts";
import { countCalls, type GrowingCounts } from "./wrappers/counted.ts";
import { limitTime } from "./wrappers/deadline.ts";
import { limitConcurrency } from "./wrappers/limit.ts";

/** Every backend by the name it has in the config file. */
export const plugins: Readonly<Record<string, Plugin>> = {
  cloudflare,
  "cloudflare-kv": cloudflareKv,
  exec,
  file,
  http,
  module,
  opendht,
  redis,
  rfc2136,
  shell,
};

/** What opening needs of an instance in the config file. */
interface PluginInstance {
  /** Name of the instance. */
  readonly name: string;
  /** Key into `plugins`. */
  readonly kind: string;
  /** Deadline of one call, not counting its time in line. */
  readonly timeoutMs: number;
  /** Calls that may run at the same time. */
  readonly concurrency: number;
  /** What the plugin's schema made of the options in the config file. */
  readonly options: unknown;
}

interface StoreContext {
  readonly clock: Clock;
  /** 0 to 1, for the jitter of pauses. @default Math.random */
  readonly random?: () => number;
  /** Folder of the config file. @default the working directory */
  readonly directory?: string;
  /** Where calls that reach the backend are counted. @default nowhere */
  readonly counts?: GrowingCounts;
}

/** Nothing counted yet. */
export function createStoreCounts(): GrowingCounts {
  return { calls: 0, failures: 0, ms: 0 };
}

/**
 * Opens the store of one instance, with a deadline for every call, a limit to calls at the same time, pauses after the
 * backend could not be reached, and a check of what it returns. Throws CONFIG_INVALID for an unknown kind.
 *
 * The line is outermost: who waits in it when the backend fails is told so at once when its turn comes, instead of using up
 * a deadline of its own there.
 */
export function openStore(
  instance: PluginInstance,
  { clock, random = Math.random, directory = ".", counts = createStoreCounts() }: StoreContext,
): Store {
  const { name, kind, timeoutMs, concurrency } = instance;
  const plugin = Object.hasOwn(plugins, kind) ? plugins[kind] : undefined;
  if (!plugin) {
    const known = Object.keys(plugins).join(", ");
    throw new StunmeshError("CONFIG_INVALID", `Cannot open plugin "${name}": no plugin "${kind}", there are ${known}`);
  }
  const store = checkReplies(plugin.open(instance.options, { name, clock, directory }), { name });
  const timed = limitTime(store, { name, clock, timeoutMs });
  const counted = countCalls(timed, { counts, clock });
  return limitConcurrency(backOff(counted, { name, clock, random }), { concurrency });
}
