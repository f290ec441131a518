/**
 * File -> Config: reads the bytes, says what is wrong with them, and hands the text to parseConfig.
 */
import { isUtf8 } from "node:buffer";
import { dirname, resolve } from "node:path";
import { StunmeshError } from "../errors.ts";
import { readAtMost } from "./bounded-file.ts";
import { MAX_CONFIG_BYTES } from "./document.ts";
import { type ParsedConfig, parseConfig } from "./parse.ts";
import type { PluginSchemas } from "./plugin-options.ts";
import { configError, type Position } from "./report.ts";
import { createSecretReader } from "./secrets.ts";

interface ReadConfigOptions {
  /** The file; see findConfig for where to look for one. */
  readonly path: string;
  /** Schemas of the backends by kind. */
  readonly pluginSchemas: PluginSchemas;
  /** Where `{ env: NAME }` and $CREDENTIALS_DIRECTORY are looked up. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Unknown keys are warnings, not errors. */
  readonly lenient?: boolean;
}

/**
 * Reads and checks a configuration. Throws CONFIG_NOT_FOUND, CONFIG_UNREADABLE, CONFIG_INVALID, or SECRET_UNREADABLE when
 * only secrets are wrong.
 */
export async function readConfig(options: ReadConfigOptions): Promise<ParsedConfig> {
  const path = resolve(options.path);
  const { bytes, mode } = await readBytes(path);
  const badAt = isUtf8(bytes) ? undefined : findBadUtf8(bytes);
  if (badAt) throw configError(path, [{ position: badAt, text: "not UTF-8: save the file with that encoding" }]);
  return parseConfig(bytes.toString("utf8"), {
    path,
    pluginSchemas: options.pluginSchemas,
    resolveSecret: createSecretReader({ directory: dirname(path), env: options.env }),
    lenient: options.lenient ?? false,
    readableByOthers: (mode & 0o044) !== 0,
    writableByAll: (mode & 0o002) !== 0,
  });
}

async function readBytes(path: string): Promise<{ readonly bytes: Buffer; readonly mode: number }> {
  try {
    return await readAtMost(path, MAX_CONFIG_BYTES + 1);
  } catch (cause) {
    throw readError(path, cause);
  }
}

/** Why a file cannot be read, as CONFIG_NOT_FOUND or CONFIG_UNREADABLE. */
export function readError(path: string, cause: unknown): StunmeshError {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const quoted = JSON.stringify(path);
  if (code === "ENOENT" || code === "ENOTDIR") {
    return new StunmeshError("CONFIG_NOT_FOUND", `Cannot read the configuration ${quoted}: there is no such file`, {
      cause,
    });
  }
  const why =
    code === "EISDIR"
      ? "it is a directory"
      : code === "EACCES" || code === "EPERM"
        ? "permission denied"
        : cause instanceof Error
          ? cause.message
          : String(cause);
  return new StunmeshError("CONFIG_UNREADABLE", `Cannot read the configuration ${quoted}: ${why}`, { cause });
}

/** The place of the first byte that is not UTF-8. Lines can be looked at alone: a line break is no part of a character. */
function findBadUtf8(bytes: Buffer): Position {
  let start = 0;
  for (let line = 1; ; line++) {
    const newline = bytes.indexOf(0x0a, start);
    const end = newline === -1 ? bytes.length : newline;
    const content = bytes.subarray(start, end);
    if (!isUtf8(content)) return { line, column: Math.max(content.toString("utf8").indexOf("\uFFFD"), 0) + 1 };
    if (newline === -1) return { line, column: 1 };
    start = end + 1;
  }
}
