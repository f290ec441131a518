/**
 * A small file that only this program reads and writes.
 *
 * Invariant: whoever opens the file, at any moment and after any crash, finds the old content or the new one, complete:
 * it is written beside its place, synced to the disk and renamed onto it (rename(2)). What is not a regular file, or may
 * be written by others, is never read.
 */
import { randomBytes } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, readdir, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** Owner only. */
const FILE_MODE = 0o600;

const WRITABLE_BY_OTHERS = 0o022;

/** Text of the file; undefined when there is none. Throws an Error that says why it cannot be used, or the system's. */
export async function readPrivateFile(path: string, maxBytes: number): Promise<string | undefined> {
  const file = await openExisting(path);
  if (!file) return undefined;
  try {
    const stats = await file.stat();
    const { size } = stats;
    assertOwnFile(stats);
    if ((stats.mode & WRITABLE_BY_OTHERS) !== 0) throw new Error("others may write to it");
    if (size > maxBytes) throw new Error(`it has more than ${maxBytes / 1024} KiB`);
    // Not readFile(), which reads on when the file grows meanwhile.
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size), 0, size, 0);
    return buffer.toString("utf8", 0, bytesRead);
  } finally {
    await file.close();
  }
}

/** Throws an Error that says why it is no file of ours: somebody else put it there, or gave another file its name. */
export function assertOwnFile(stats: Stats): void {
  if (!stats.isFile()) throw new Error("it is not a regular file");
  if (!isOwn(stats)) throw new Error("it belongs to another user");
  if (stats.nlink > 1) throw new Error("it has another name as well (a hard link)");
}

/** True for what belongs to us or to root, who may do everything anyway. */
export function isOwn({ uid }: Pick<Stats, "uid">): boolean {
  return uid === 0 || uid === process.getuid?.();
}

async function openExisting(path: string): Promise<FileHandle | undefined> {
  try {
    // O_NONBLOCK: a FIFO would wait for a writer.
    return await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return undefined;
    if (code === "ELOOP" || code === "EMLINK") throw new Error("it is a symbolic link", { cause: error });
    throw error;
  }
}

/** Puts `text` in the place of the file, which then has mode 600 whatever the umask is. Throws what the system throws. */
export async function replacePrivateFile(path: string, text: string): Promise<void> {
  const temporary = join(dirname(path), `${temporaryPrefix(path)}${randomBytes(8).toString("hex")}.tmp`);
  const file = await open(temporary, "wx", FILE_MODE);
  try {
    try {
      await file.chmod(FILE_MODE);
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    // The next start removes it if this cannot; the first error is the one to tell.
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Puts the file where it is not read again: the newest one that could not be used is kept, as `<path>.bad`. */
export async function setAside(path: string): Promise<void> {
  await rename(path, `${path}.bad`);
}

/** Removes what writers of `path` left that were killed. Not being able to is no reason to fail: nothing reads it. */
export async function removeLeftovers(path: string): Promise<void> {
  const prefix = temporaryPrefix(path);
  const names = await readdir(dirname(path)).catch(() => []);
  for (const name of names) {
    const isLeftover = name.startsWith(prefix) && /^[0-9a-f]{16}\.tmp$/.test(name.slice(prefix.length));
    if (isLeftover) await rm(join(dirname(path), name), { force: true }).catch(() => undefined);
  }
}

function temporaryPrefix(path: string): string {
  return `.${basename(path)}.`;
}

/** Makes the rename survive a power failure. Some file systems cannot do this; the content is safe there all the same. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, constants.O_RDONLY).catch(() => undefined);
  if (!handle) return;
  try {
    await handle.sync().catch(() => undefined);
  } finally {
    await handle.close();
  }
}
