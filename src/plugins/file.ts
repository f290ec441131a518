/**
 * `file`: one file per key in a directory, for tests, for peers on one machine and for folders that something else shares
 * (NFS, Syncthing, sshfs).
 *
 * A value is written to a temporary file beside its place and renamed onto it (rename(2)): a reader sees the old value or
 * the new one, never a part, also with several writers. Nothing is synced to the disk: after a power failure every daemon
 * publishes again anyway, and an empty file counts as no value.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, readdir, rename, rm, stat, unlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import * as z from "zod";
import type { Clock } from "../clock.ts";
import { type ErrorCode, StunmeshError } from "../errors.ts";
import { HOME_PATH_PROBLEM, isHomePath } from "../home-path.ts";
import { makeDirectory } from "../make-directory.ts";
import { storeAction } from "./action.ts";
import { watchDirectory } from "./file-watch.ts";
import type { Plugin } from "./types.ts";
import { withoutLineEnds } from "./value.ts";

const MAX_VALUE_BYTES = 64 * 1024;
/** Temporary files older than this were left by a writer that died. */
const STALE_MS = 60 * 60 * 1000;
const keyPattern = /^[0-9a-f]{40}$/;
const temporaryPattern = /^\.[0-9a-f]{40}\.[0-9a-f]{16}\.tmp$/;

const fileSchema = z.strictObject({
  path: z
    .string()
    .min(1)
    .refine((path) => !isHomePath(path), HOME_PATH_PROBLEM)
    .describe("Directory that holds one file per key. Created when it is missing."),
});

export const file: Plugin<typeof fileSchema> = {
  schema: fileSchema,
  open(options, { name, clock }) {
    const directory = resolve(options.path);
    let isSwept = false;

    function placeOf(key: string): string {
      // The key becomes a file name: nothing else may pass.
      if (!keyPattern.test(key))
        throw new StunmeshError("STORE_FAILED", "a key is 40 lower-case hexadecimal characters");
      return join(directory, key);
    }

    return {
      async get(key, signal) {
        signal.throwIfAborted();
        try {
          const value = await readValue(placeOf(key));
          signal.throwIfAborted();
          return value === undefined || value === "" ? [] : [value];
        } catch (error) {
          throw explain(error, { action: storeAction("get", name), place: join(directory, key), signal });
        }
      },
      async set(key, value, signal) {
        signal.throwIfAborted();
        try {
          const place = placeOf(key);
          if (Buffer.byteLength(value) > MAX_VALUE_BYTES) {
            throw new StunmeshError("STORE_FAILED", "a value of more than 64 KiB");
          }
          await makeDirectory(directory, { mode: 0o700 });
          if (!isSwept) {
            isSwept = true;
            await removeStaleFiles(directory, clock);
          }
          await replaceValue(place, { value, temporary: temporaryName(directory, key), signal });
        } catch (error) {
          throw explain(error, { action: storeAction("set", name), place: join(directory, key), signal });
        }
      },
      watch: (keys, handlers) => watchDirectory({ directory, keys, handlers, clock, name }),
    };
  },
};

/** The text of the file at `place` without the newline at its end; undefined when there is none. */
async function readValue(place: string): Promise<string | undefined> {
  let handle: FileHandle;
  try {
    // O_NOFOLLOW: who can write to the directory must not make us read other files. O_NONBLOCK: a FIFO would wait for a writer.
    handle = await open(place, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    if (systemCode(error) === "ENOENT") return undefined;
    throw error;
  }
  try {
    const entry = await handle.stat();
    if (!entry.isFile()) throw new StunmeshError("STORE_FAILED", "it is not a regular file");
    const buffer = Buffer.alloc(MAX_VALUE_BYTES + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
      length += bytesRead;
      if (bytesRead === 0 || length === buffer.length) break;
    }
    if (length > MAX_VALUE_BYTES) throw new StunmeshError("STORE_REPLY_INVALID", "it has more than 64 KiB");
    return withoutLineEnds(decodeText(buffer.subarray(0, length)));
  } finally {
    await handle.close();
  }
}

function decodeText(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new StunmeshError("STORE_REPLY_INVALID", "it is not UTF-8 text", { cause });
  }
}

function temporaryName(directory: string, key: string): string {
  return join(directory, `.${key}.${randomBytes(8).toString("hex")}.tmp`);
}

async function replaceValue(
  place: string,
  { value, temporary, signal }: { readonly value: string; readonly temporary: string; readonly signal: AbortSignal },
): Promise<void> {
  const handle = await open(temporary, "wx", 0o600);
  try {
    try {
      await handle.writeFile(`${value}\n`);
    } finally {
      await handle.close();
    }
    signal.throwIfAborted();
    await rename(temporary, place);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Removes what writers that died left. Not being able to is no reason to fail: nothing ever reads those files. */
async function removeStaleFiles(directory: string, clock: Clock): Promise<void> {
  const names = await readdir(directory).catch(() => []);
  for (const name of names.filter((entry) => temporaryPattern.test(entry))) {
    const path = join(directory, name);
    const entry = await stat(path).catch(() => undefined);
    if (entry && clock.now() - entry.mtimeMs > STALE_MS) await unlink(path).catch(() => undefined);
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EISDIR: "a directory is in its place",
  ELOOP: "it is a symbolic link",
  EMLINK: "it is a symbolic link",
  ENOSPC: "no space left",
  ENOTDIR: "a part of the path is not a directory",
  EROFS: "the file system is read-only",
  ESTALE: "the network file system lost it",
};
/** These say that the file system as a whole does not answer; the rest may concern one file only. */
const wholeStoreCodes = new Set(["ENOTDIR", "EIO", "ESTALE", "ENOTCONN", "EHOSTDOWN", "ETIMEDOUT"]);

/** `error` as the store's error that names the file; the reason of an aborted signal passes as it is. */
function explain(
  error: unknown,
  { action, place, signal }: { readonly action: string; readonly place: string; readonly signal: AbortSignal },
): unknown {
  if (signal.aborted) return signal.reason;
  const systemError = systemCode(error);
  const code: ErrorCode =
    error instanceof StunmeshError
      ? error.code
      : wholeStoreCodes.has(systemError ?? "")
        ? "STORE_UNAVAILABLE"
        : "STORE_FAILED";
  const detail = reasons[systemError ?? ""] ?? systemError ?? (error instanceof Error ? error.message : String(error));
  return new StunmeshError(code, `Cannot ${action}: file "${place}": ${detail}`, { cause: error });
}

function systemCode(error: unknown): string | undefined {
  return error instanceof Error &&
    !(error instanceof StunmeshError) &&
    "code" in error &&
    typeof error.code === "string"
    ? error.code
    : undefined;
}
