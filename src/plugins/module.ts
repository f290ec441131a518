/**
 * `module`: a store written by the user in JavaScript, loaded into the daemon by import(): for what is too often asked, or
 * holds too much, for a program per call.
 *
 * It runs with all rights of the daemon. Whatever it returns, throws or forgets, the daemon goes on: that is checked here
 * and in the wrappers around every store. Only an endless loop of its own stops everything.
 */
import { stat } from "node:fs/promises";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import * as z from "zod";
import { abortable } from "../abortable.ts";
import { withDeadline } from "../deadline.ts";
import { type ErrorCode, StunmeshError } from "../errors.ts";
import { HOME_PATH_PROBLEM, isHomePath } from "../home-path.ts";
import { importModule } from "../launched.ts";
import { storeAction } from "./action.ts";
import { listSecrets, scrub } from "./scrub.ts";
import type { Plugin, PluginContext, WatchHandlers } from "./types.ts";

const moduleSchema = z.looseObject({
  path: z
    .string()
    .min(1)
    .refine((path) => !isHomePath(path), HOME_PATH_PROBLEM)
    .describe("File of an ES module. A relative path begins at the folder of the configuration file."),
});

/** The daemon's end does not wait for a module for longer. */
const CLOSE_TIMEOUT_MS = 2000;

type Method = (...args: readonly unknown[]) => unknown;
/** What a module may give. `get` and `set` are functions; the others functions or missing. */
interface UserStore {
  readonly get: Method;
  readonly set: Method;
  readonly watch: Method | undefined;
  readonly close: Method | undefined;
}

/** What messages need to know of a module. */
interface UserModule {
  /** Absolute path of the file. */
  readonly place: string;
  /** Kept out of messages. */
  readonly secrets: readonly string[];
}

export const module: Plugin<typeof moduleSchema> = {
  schema: moduleSchema,
  open({ path, ...options }, context) {
    const module = { place: resolve(context.directory ?? ".", path), secrets: secretsOf(options) };
    let opening: Promise<UserStore> | undefined;

    /** Loads the module once; a failed attempt is forgotten, so that a later call tries again. */
    function load(): Promise<UserStore> {
      opening ??= openUserStore(module.place, { options, context }).catch((error: unknown) => {
        opening = undefined;
        throw error;
      });
      return opening;
    }
    async function call(
      method: "get" | "set",
      { args, signal }: { readonly args: readonly string[]; readonly signal: AbortSignal },
    ) {
      signal.throwIfAborted();
      try {
        const store = await abortable(load(), signal);
        return await abortable(Promise.resolve(store[method](...args, signal)), signal);
      } catch (error) {
        if (signal.aborted) throw signal.reason;
        const [, value] = args;
        const secrets = value === undefined ? module.secrets : [...module.secrets, value];
        throw explain(error, { action: storeAction(method, context.name), ...module, secrets });
      }
    }

    return {
      async get(key, signal) {
        const returned = await call("get", { args: [key], signal });
        const values = valuesOf(returned);
        if (values) return values;
        const kind = typeof returned === "object" ? "an object" : `a ${typeof returned}`;
        const error = new StunmeshError("STORE_REPLY_INVALID", `get() returned ${kind}, a list of texts is wanted`);
        throw explain(error, { action: storeAction("get", context.name), ...module });
      },
      async set(key, value, signal) {
        await call("set", { args: [key, value], signal });
      },
      watch: (keys, handlers) => watchUserStore(load(), { keys, handlers, context, module }),
      async close() {
        const { clock } = context;
        const closing = { clock, timeoutMs: CLOSE_TIMEOUT_MS, action: `close plugin "${context.name}"` };
        try {
          await withDeadline(closing, async () => (await opening)?.close?.());
        } catch {
          // The daemon is done with the module; there is nobody whom its failure, or its not ending, concerns.
        }
      },
    };
  },
};

/** Imports the module and has it open its store. Errors are "why" only. */
async function openUserStore(
  place: string,
  { options, context }: { readonly options: Readonly<Record<string, unknown>>; readonly context: PluginContext },
): Promise<UserStore> {
  const entry = await stat(place).catch(() => undefined);
  if (!entry?.isFile()) throw unusable("there is no such file");
  // A module that failed is remembered as failed by its URL: a repaired file must be another one.
  const url = pathToFileURL(place);
  url.searchParams.set("modified", String(entry.mtimeMs));
  const { default: exported }: { readonly default?: unknown } = await importModule(url.href);
  const open = typeof exported === "function" ? exported : memberOf(exported, "open");
  if (typeof open !== "function") throw unusable("its default export is no function (options, context) => store");
  const store: unknown = await Reflect.apply(open, exported, [options, context]);
  const method = (name: string): Method | undefined => {
    const member = memberOf(store, name);
    return typeof member === "function" ? (...args) => Reflect.apply(member, store, args) : undefined;
  };
  const [get, set, watch, close] = ["get", "set", "watch", "close"].map(method);
  if (!get || !set) throw unusable("what it opened is no store: it has no function get, or none set");
  return { get, set, watch, close };
}

/** Watches as soon as the module is loaded, if it can. */
function watchUserStore(
  loading: Promise<UserStore>,
  options: {
    readonly keys: readonly string[];
    readonly handlers: WatchHandlers;
    readonly context: PluginContext;
    readonly module: UserModule;
  },
): { close(): void } {
  const { keys, handlers, context, module } = options;
  let isClosed = false;
  let closeWatch: unknown;
  const guarded: WatchHandlers = {
    onChange(key) {
      if (!isClosed && keys.includes(key)) handlers.onChange(key);
    },
    onError: fail,
  };
  function fail(error: unknown) {
    if (isClosed) return;
    close();
    handlers.onError(explain(error, { action: `watch plugin "${context.name}"`, ...module }));
  }
  function close() {
    isClosed = true;
    if (typeof closeWatch === "function") closeWatch();
  }
  loading
    .then(({ watch }) => {
      if (isClosed || !watch) return;
      const opened = watch(keys, guarded);
      const closing = memberOf(opened, "close");
      if (typeof closing !== "function") throw unusable("watch() returned nothing that can be closed");
      closeWatch = () => {
        try {
          Reflect.apply(closing, opened, []);
        } catch {
          // The daemon is done with it; there is nobody whom the failure concerns.
        }
      };
      if (isClosed) close();
    })
    .catch(fail);
  return { close };
}

/** The list that `get` returned; one text counts as a list of one, nothing as an empty one; undefined for anything else. */
function valuesOf(returned: unknown): readonly string[] | undefined {
  if (returned === undefined || returned === null || returned === "") return [];
  if (typeof returned === "string") return [returned];
  return Array.isArray(returned) ? returned : undefined;
}

function memberOf(value: unknown, name: string): unknown {
  return (typeof value === "object" && value !== null) || typeof value === "function"
    ? Reflect.get(value, name)
    : undefined;
}

function unusable(why: string): StunmeshError {
  return new StunmeshError("STORE_UNAVAILABLE", why);
}

/** Codes a module may choose by giving its error a property `code`. */
const storeCodes: readonly ErrorCode[] = ["STORE_UNAVAILABLE", "STORE_FAILED", "STORE_REPLY_INVALID"];

/** `error` as the store's error that names the file. Without the cause: its message may hold a secret. */
function explain(error: unknown, { action, place, secrets }: UserModule & { readonly action: string }): StunmeshError {
  const given = memberOf(error, "code");
  const code = storeCodes.find((known) => known === given) ?? "STORE_FAILED";
  // What we say ourselves has no secret in it, and may have a word that is somebody's secret.
  const isOurs = error instanceof StunmeshError;
  const why = isOurs ? error.message : scrub(error instanceof Error ? error.message : String(error), secrets);
  return new StunmeshError(code, `Cannot ${action}: module "${place}": ${why}`);
}

/** Texts among the options, at any depth, whose names say that they are credentials. */
function secretsOf(options: Readonly<Record<string, unknown>>): readonly string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    if (typeof value === "string") return listSecrets([], { [name]: value });
    return typeof value === "object" && value !== null ? secretsOf(Object.fromEntries(Object.entries(value))) : [];
  });
}
