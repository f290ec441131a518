/**
 * Standard input of a program as an unnamed file.
 *
 * Node's own "pipe" is a socket pair, and Linux refuses to open a socket by name: scripts that read their input by
 * `. /dev/stdin` or `jq ... /dev/stdin` would fail with ENXIO. A file has no such trap, needs no writing in turns, and
 * cannot break when the program does not read it.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/**
 * An open file that holds `text`, is readable by us alone and has no name any more. undefined when there is no place
 * for it (full or read-only temporary directory): a plain pipe serves most programs as well.
 */
export async function openChildInput(text: string): Promise<FileHandle | undefined> {
  const path = join(tmpdir(), `stunmesh-${randomBytes(12).toString("hex")}`);
  let file: FileHandle | undefined;
  try {
    file = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600);
    await unlink(path);
    // At a given position: the file offset, which the program inherits, stays at the beginning.
    await file.write(text, 0, "utf8");
    return file;
  } catch {
    await file?.close();
    return undefined;
  }
}
