/**
 * Where the socket of a userspace WireGuard daemon is: DIR/NAME.sock. On macOS interfaces are called utun4, and
 * wg-quick(8) writes that into DIR/wg0.name for the configuration wg0: so "wg0" can be said there too.
 */
import { lstat, open } from "node:fs/promises";
import { join } from "node:path";
import { whyNotAnInterfaceName } from "./name.ts";

/** A file and a socket written by one start of an interface are less than this apart; wg-quick(8) has the same number. */
const MAX_AGE_DIFFERENCE_MS = 2000;

export interface UapiPath {
  /** The name that the operating system knows. */
  readonly name: string;
  readonly path: string;
}

/** The places to look for the socket of `name`, best first: in each directory itself, then by wg-quick's name file. */
export async function findUapiPaths(name: string, runtimeDirs: readonly string[]): Promise<readonly UapiPath[]> {
  const own = runtimeDirs.map((dir) => ({ name, path: join(dir, `${name}.sock`) }));
  const aliases = await Promise.all(runtimeDirs.map((dir) => readAlias(name, dir)));
  return [...own, ...aliases.filter((alias) => alias !== undefined)];
}

/** The name that the operating system knows for `name`: the one in wg-quick's name file, or itself. */
export async function findSystemName(name: string, runtimeDirs: readonly string[]): Promise<string> {
  const aliases = await Promise.all(runtimeDirs.map((dir) => readAlias(name, dir)));
  return aliases.find((alias) => alias !== undefined)?.name ?? name;
}

/** The interface that wg-quick started for the configuration `name`; undefined when there is none, or only leftovers. */
async function readAlias(name: string, dir: string): Promise<UapiPath | undefined> {
  try {
    const file = join(dir, `${name}.name`);
    const realName = await readFirstLine(file);
    if (whyNotAnInterfaceName(realName) !== undefined) return undefined;
    const path = join(dir, `${realName}.sock`);
    const [fileStats, socketStats] = await Promise.all([lstat(file), lstat(path)]);
    // After a crash the number of the utun may belong to somebody else's tunnel.
    const isFresh = Math.abs(fileStats.mtimeMs - socketStats.mtimeMs) < MAX_AGE_DIFFERENCE_MS;
    return isFresh ? { name: realName, path } : undefined;
  } catch (error) {
    // Nothing to be read is the normal case: other systems have no such file. What matters shows when connecting.
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

async function readFirstLine(file: string): Promise<string> {
  const handle = await open(file);
  try {
    const buffer = Buffer.alloc(64);
    const { bytesRead } = await handle.read(buffer);
    return buffer.toString("latin1", 0, bytesRead).split("\n")[0] ?? "";
  } finally {
    await handle.close();
  }
}
