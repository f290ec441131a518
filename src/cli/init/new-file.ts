/**
 * A new file, in one step.
 *
 * Invariant: a file that exists is never changed, and nobody ever finds a part of the new one: it is written beside its
 * place and linked there, which fails when the name is taken (link(2)).
 */
import { randomBytes } from "node:crypto";
import { link, lstat, open, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { StunmeshError } from "../../errors.ts";
import { makeDirectory } from "../../make-directory.ts";

/** File systems without hard links: FAT, some network shares. */
const noLinks: ReadonlySet<unknown> = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"]);

/** Throws FILE_NOT_CREATED when something is at `path` already. */
export async function assertNew(path: string): Promise<void> {
  const isThere = await lstat(path).then(
    () => true,
    () => false,
  );
  if (isThere) throw exists(path);
}

/** Writes `text` to `path` with `mode`, and creates the directories above. Throws FILE_NOT_CREATED. */
export async function createFile(path: string, { text, mode }: { readonly text: string; readonly mode: number }) {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString("hex")}.tmp`);
  try {
    await makeDirectory(dirname(path), { mode: 0o777 });
    await write(temporary, { text, mode });
    try {
      await link(temporary, path);
    } catch (error) {
      if (!noLinks.has(codeOf(error))) throw error;
      await write(path, { text, mode });
    } finally {
      await rm(temporary, { force: true });
    }
  } catch (error) {
    throw codeOf(error) === "EEXIST" ? exists(path) : notWritten(path, error);
  }
}

async function write(path: string, { text, mode }: { readonly text: string; readonly mode: number }): Promise<void> {
  const file = await open(path, "wx", mode);
  try {
    // Whatever the umask is.
    await file.chmod(mode);
    await file.writeFile(text);
    await file.sync();
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

function exists(path: string): StunmeshError {
  const quoted = JSON.stringify(path);
  const what = "it exists already, and is left as it is: move it away, or give another path with --output";
  return new StunmeshError("FILE_NOT_CREATED", `Cannot write ${quoted}: ${what}`);
}

function notWritten(path: string, cause: unknown): StunmeshError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const hint = codeOf(cause) === "EACCES" ? "; run as root, or give another path with --output" : "";
  return new StunmeshError("FILE_NOT_CREATED", `Cannot write ${JSON.stringify(path)}: ${why}${hint}`, { cause });
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
