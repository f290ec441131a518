/**
 * A directory and those above it. On a read-only file system mkdir() of Node with `recursive` says ENOENT ("no such file"),
 * which sends a person looking for the wrong thing: the true reason is asked for then.
 */
import { lstat, mkdir } from "node:fs/promises";
import { dirname } from "node:path";

/**
 * Creates `directory` with `mode`, and what is missing above it. Resolves with the first one that was created; undefined
 * when all was there. Rejects with what the system says.
 */
export async function makeDirectory(
  directory: string,
  { mode }: { readonly mode: number },
): Promise<string | undefined> {
  try {
    return await mkdir(directory, { recursive: true, mode });
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") await explainMissing(directory, mode);
    throw error;
  }
}

/** Throws why the first of the missing directories cannot be made; returns when that one could. */
async function explainMissing(directory: string, mode: number): Promise<void> {
  const parent = dirname(directory);
  const isThere = await lstat(parent).then(
    () => true,
    () => false,
  );
  if (isThere || parent === directory) await mkdir(directory, { mode });
  else await explainMissing(parent, mode);
}
