/**
 * Secrets that stand elsewhere: any text inside a plugin's options may be `{ env: NAME }`, `{ file: PATH }` or
 * `{ credential: NAME }` (systemd's LoadCredential=, see systemd.exec(5)).
 *
 * Invariant: no message contains the value of a secret.
 */
import { join, resolve } from "node:path";
import { StunmeshError } from "../errors.ts";
import { HOME_PATH_PROBLEM, isHomePath } from "../home-path.ts";
import { readAtMost } from "./bounded-file.ts";
import { isMapping } from "./document.ts";
import type { ConfigPath } from "./report.ts";

/** The keys of a reference; only one stands in each. */
export const referenceKinds = ["env", "file", "credential"] as const;

interface SecretReference {
  readonly kind: (typeof referenceKinds)[number];
  /** Name of the variable or credential, or path of the file. */
  readonly name: string;
}

/** Reads what a reference names. Throws SECRET_UNREADABLE. */
export type ResolveSecret = (reference: SecretReference) => Promise<string>;

/** Tokens and keys are far smaller; a wrong path may lead to anything. */
const MAX_SECRET_BYTES = 64 * 1024;

/** Makes a reader of secrets. `directory` (of the config file) is where relative paths of files begin. */
export function createSecretReader({
  directory,
  env,
}: {
  readonly directory: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}): ResolveSecret {
  return async ({ kind, name }) => {
    const what = `the secret { ${kind}: ${JSON.stringify(name)} }`;
    // hasOwn: process.env inherits names such as "constructor".
    if (kind === "env")
      return notEmpty(
        Object.hasOwn(env, name) ? env[name] : undefined,
        what,
        "the environment variable is not set, or empty",
      );
    if (kind === "file" && isHomePath(name)) throw secretError(what, `the path ${HOME_PATH_PROBLEM}`);
    if (kind === "file")
      return notEmpty(await readSecretFile(resolve(directory, name), what), what, "the file is empty");
    const credentials = env.CREDENTIALS_DIRECTORY;
    if (!credentials) {
      throw secretError(
        what,
        "$CREDENTIALS_DIRECTORY is not set: credentials are for a systemd service with LoadCredential=",
      );
    }
    // systemd allows file names only (systemd.exec(5)); a path would leave the directory.
    if (name.includes("/") || name === "." || name === "..") throw secretError(what, "that is no name of a credential");
    return notEmpty(await readSecretFile(join(credentials, name), what), what, "the credential is empty");
  };
}

/**
 * `options` with every reference inside it replaced (`options` itself is none). A reference that cannot be read is reported to
 * `onError` and left as an empty text.
 */
export async function resolveSecrets(
  options: Readonly<Record<string, unknown>>,
  context: {
    readonly path: ConfigPath;
    readonly resolveSecret: ResolveSecret;
    onError(path: ConfigPath, error: unknown): void;
  },
): Promise<Readonly<Record<string, unknown>>> {
  async function replace(value: unknown, path: ConfigPath): Promise<unknown> {
    if (Array.isArray(value)) {
      const items: unknown[] = [];
      for (const [index, item] of value.entries()) items.push(await replace(item, [...path, index]));
      return items;
    }
    if (!isMapping(value)) return value;
    const reference = asReference(value);
    if (!reference) return replaceEntries(value, path);
    try {
      return await context.resolveSecret(reference);
    } catch (error) {
      context.onError(path, error);
      return "";
    }
  }

  async function replaceEntries(mapping: Readonly<Record<string, unknown>>, path: ConfigPath) {
    const replaced: Record<string, unknown> = {};
    for (const [key, entry] of Object.entries(mapping)) replaced[key] = await replace(entry, [...path, key]);
    return replaced;
  }

  return replaceEntries(options, context.path);
}

/** A mapping with one of the three words as its only key, and a text. */
export function asReference(value: Readonly<Record<string, unknown>>): SecretReference | undefined {
  const [entry, ...others] = Object.entries(value);
  if (!entry || others.length > 0) return undefined;
  const [kind, name] = entry;
  if (typeof name !== "string" || name === "") return undefined;
  const known = referenceKinds.find((word) => word === kind);
  return known && { kind: known, name };
}

async function readSecretFile(path: string, what: string): Promise<string> {
  let bytes: Buffer;
  try {
    ({ bytes } = await readAtMost(path, MAX_SECRET_BYTES + 1));
  } catch (cause) {
    throw new StunmeshError("SECRET_UNREADABLE", `Cannot read ${what}: ${systemReason(cause)}`, { cause });
  }
  if (bytes.length > MAX_SECRET_BYTES) throw secretError(what, `${JSON.stringify(path)} is larger than 64 KiB`);
  // Editors and echo end a file with a line break that is no part of the secret.
  return bytes.toString("utf8").replace(/\r?\n$/, "");
}

function systemReason(cause: unknown): string {
  return cause instanceof Error ? cause.message.replace(/^(\w+): /, "$1, ") : String(cause);
}

function notEmpty(value: string | undefined, what: string, problem: string): string {
  if (value === undefined || value === "") throw secretError(what, problem);
  return value;
}

function secretError(what: string, problem: string): StunmeshError {
  return new StunmeshError("SECRET_UNREADABLE", `Cannot read ${what}: ${problem}`);
}
