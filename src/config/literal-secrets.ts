/**
 * Secrets that stand in the file itself, found by the names of the options that hold them: to warn when others can read
 * the file.
 */
import { isMapping } from "./document.ts";
import type { ConfigPath } from "./report.ts";
import { asReference } from "./secrets.ts";

export interface LiteralSecret {
  readonly path: ConfigPath;
  readonly value: string;
}

const secretName = /(?:^|[-_.])(?:token|password|passwd|passphrase|secret|key|credentials?|auth|authorization)$/i;
const publicName = /public[-_]?key$/i;
/** Of a command: `-token VALUE` and `--token=VALUE`. */
const secretFlag = /^--?([\w-]+)(?:=(.+))?$/s;
/** RFC 3986 section 3.2.1: the password of a URL, from the first colon on. */
const urlPassword = /^[a-z][a-z0-9+.-]*:\/\/[^/?#@\s:]*:([^/?#@\s]+)@/i;

/** The secrets inside a plugin's options, as they stand in the file. */
export function findLiteralSecrets(options: unknown, path: ConfigPath): readonly LiteralSecret[] {
  if (Array.isArray(options)) return options.flatMap((item, index) => findInItem(options, { item, index, path }));
  // `{ credential: NAME }`: the name has the key of a secret, and is none.
  if (!isMapping(options) || asReference(options)) return [];
  return Object.entries(options).flatMap(([key, value]) => {
    const entryPath = [...path, key];
    if (typeof value === "number" && isSecretName(key)) return [{ path: entryPath, value: String(value) }];
    if (typeof value !== "string") return findLiteralSecrets(value, entryPath);
    const secret = isSecretName(key) ? value : urlPassword.exec(value)?.[1];
    return secret ? [{ path: entryPath, value: secret }] : [];
  });
}

function findInItem(
  list: readonly unknown[],
  { item, index, path }: { item: unknown; index: number; path: ConfigPath },
): readonly LiteralSecret[] {
  const itemPath = [...path, index];
  if (typeof item !== "string") return findLiteralSecrets(item, itemPath);
  const [, ownFlag = "", ownValue] = secretFlag.exec(item) ?? [];
  if (ownValue !== undefined && isSecretName(ownFlag)) return [{ path: itemPath, value: ownValue }];
  const before = list[index - 1];
  const [, flag = "", value] = (typeof before === "string" && secretFlag.exec(before)) || [];
  const secret = value === undefined && isSecretName(flag) ? item : urlPassword.exec(item)?.[1];
  return secret ? [{ path: itemPath, value: secret }] : [];
}

function isSecretName(name: string): boolean {
  return secretName.test(name) && !publicName.test(name);
}
