/**
 * The control socket as a file: made with its final mode and owner before anybody can reach it, never in the place of a
 * daemon that answers, and removed at the end. Who may write to the file may do everything the socket offers.
 *
 * It is bound in a directory of its own that only we can enter, and moved to its place when it is ready.
 */
import { chmod, chown, link, lstat, mkdtemp, readFile, rename, rm, stat, unlink } from "node:fs/promises";
import { connect, type Server } from "node:net";
import { dirname, isAbsolute, join } from "node:path";
import { StunmeshError } from "../errors.ts";
import { makeDirectory } from "../make-directory.ts";

/** sun_path has 104 bytes on FreeBSD and macOS, 108 on Linux, with the NUL at its end. */
const MAX_PATH_BYTES = 103;
const SOCKET_MODE = 0o660;
/** Another daemon may start or end meanwhile, but not for ever. */
const MAX_ATTEMPTS = 5;

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
  const created = await makeDirectory(directory, { mode: 0o755 });
  // mkdir() takes the bits of the umask away, which may be all of the group's.
  if (created !== undefined) await chmod(directory, 0o755);
  const { mode, uid } = await stat(directory);
  // Who may rename there could have us give our rights to another file.
  if (uid !== 0 && uid !== process.getuid?.()) throw new Error("its directory belongs to another user: chown it");
  if ((mode & 0o1000) === 0 && (mode & 0o022) !== 0) throw new Error("others may write to its directory: chmod 755 it");
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
    await putInPlace(bound, { path, aside });
    return ino;
  } catch (error) {
    server.close();
    throw error;
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

/**
 * Names the socket `path`, unless a daemon answers there: a link is never made in the place of another file, so of two
 * daemons that start together one is told. What a dead one left is moved out of the way first.
 */
async function putInPlace(
  bound: string,
  { path, aside }: { readonly path: string; readonly aside: string },
): Promise<void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    const dead = await lstat(path).catch(() => undefined);
    await refuseTaken(path);
    if (dead) {
      const moved = join(aside, `${attempt}`);
      await rename(path, moved).catch(ignoreMissing);
      const found = await lstat(moved).catch(() => undefined);
      // Another daemon's by now: it gets its place back.
      if (found && found.ino !== dead.ino) await link(moved, path).catch(() => undefined);
    }
    try {
      return await link(bound, path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // A file system without links has no such protection.
      if (code === "EPERM" || code === "ENOTSUP" || code === "EOPNOTSUPP") return await rename(bound, path);
      if (code !== "EEXIST") throw error;
    }
  }
  throw new Error("others make files of that name all the time");
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOENT") throw error;
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
