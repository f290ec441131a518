/**
 * The control socket as a file: made with its final mode and owner before anybody can reach it, never in the place of a
 * daemon that answers, and removed at the end. Who may write to the file may do everything the socket offers.
 *
 * It is bound in a directory of its own that only we can enter, and moved to its place when it is ready.
 */
import { chmod, chown, lstat, mkdir, mkdtemp, readFile, rename, rm, stat, unlink } from "node:fs/promises";
import { connect, type Server } from "node:net";
import { dirname, isAbsolute, join } from "node:path";
import { StunmeshError } from "../errors.ts";

/** sun_path has 104 bytes on FreeBSD and macOS, 108 on Linux, with the NUL at its end. */
const MAX_PATH_BYTES = 103;
const SOCKET_MODE = 0o660;

export interface BindOptions {
  readonly path: string;
  /** Name or number of the group that may use it; undefined = the daemon's own. */
  readonly group: string | undefined;
}

/** Has `server` listen at `path`. Resolves with what removes the file. Throws CONTROL_UNAVAILABLE. */
export async function bindControlSocket(
  server: Server,
  { path, group }: BindOptions,
): Promise<{ remove(): Promise<void> }> {
  try {
    if (!isAbsolute(path)) throw new Error("it is not an absolute path");
    await prepareDirectory(dirname(path));
    await refuseTaken(path);
    const gid = group === undefined ? undefined : await findGroup(group);
    const inode = await bindAside(server, { path, gid });
    return { remove: () => removeOwn(path, inode) };
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new StunmeshError("CONTROL_UNAVAILABLE", `Cannot open the control socket "${path}": ${why}`, { cause });
  }
}

async function prepareDirectory(directory: string): Promise<void> {
  const created = await mkdir(directory, { recursive: true, mode: 0o755 });
  // mkdir() takes the bits of the umask away, which may be all of the group's.
  if (created !== undefined) await chmod(directory, 0o755);
  const { mode } = await stat(directory);
  if ((mode & 0o1002) === 0o002) throw new Error("everybody may write to its directory: chmod 755 it");
}

/** Throws when a daemon answers at `path`, or something is there that is no socket. What a dead one left is no obstacle. */
async function refuseTaken(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (!found) return;
  if (!found.isSocket()) throw new Error("there is something else of that name");
  if (await answers(path)) throw new Error("another daemon answers there; give this one another control.socket");
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED" || error.code === "ENOENT") resolve(false);
      else reject(error);
    });
  });
}

async function bindAside(
  server: Server,
  { path, gid }: { readonly path: string; readonly gid: number | undefined },
): Promise<number> {
  const aside = await mkdtemp(join(dirname(path), ".ctl-"));
  const bound = join(aside, "s");
  try {
    if (Buffer.byteLength(bound) > MAX_PATH_BYTES || Buffer.byteLength(path) > MAX_PATH_BYTES) {
      throw new Error("its path is too long for a socket");
    }
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen({ path: bound }, () => {
        server.off("error", reject);
        resolve();
      });
    });
    if (gid !== undefined) await chown(bound, process.getuid?.() ?? 0, gid);
    await chmod(bound, SOCKET_MODE);
    const { ino } = await stat(bound);
    await rename(bound, path);
    return ino;
  } catch (error) {
    server.close();
    throw error;
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

/** There may be another daemon's socket by now. */
async function removeOwn(path: string, inode: number): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found?.ino === inode) await unlink(path).catch(() => undefined);
}

/** The number of a group. Node has no getgrnam(3); a group of a directory service has to be given by its number. */
async function findGroup(group: string): Promise<number> {
  if (/^\d{1,10}$/.test(group)) return Number(group);
  const lines = (await readFile("/etc/group", "utf8")).split("\n").map((line) => line.split(":"));
  const found = lines.find(([name]) => name === group)?.[2];
  if (found === undefined || !/^\d+$/.test(found)) throw new Error(`there is no group "${group}" in /etc/group`);
  return Number(found);
}
