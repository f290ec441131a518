/**
 * Where the program keeps what survives a restart: one directory, used by nobody else.
 *
 * Invariant: nothing in it is needed. Without it the program works, learns everything anew and cannot notice another daemon.
 * Spec: $STATE_DIRECTORY is of systemd.exec(5), StateDirectory=; /var/lib of the FHS, /var/db of hier(7).
 */
import { constants, type Stats } from "node:fs";
import { access, chmod, stat } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { StunmeshError } from "../errors.ts";
import { makeDirectory } from "../make-directory.ts";
import { isOwn } from "./private-file.ts";

interface SelectOptions {
  /** `state_directory` of the configuration. */
  readonly configured: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Name of the operating system, as process.platform has it. */
  readonly platform: string;
}

/** The configured directory, else the first one of $STATE_DIRECTORY, else the system's place for such things. */
export function selectStateDirectory({ configured, environment, platform }: SelectOptions): string {
  const [given] = (environment.STATE_DIRECTORY ?? "").split(":").filter((path) => path !== "");
  return configured ?? given ?? (platform === "linux" ? "/var/lib/stunmesh-ts" : "/var/db/stunmesh-ts");
}

/**
 * Creates `directory` (mode 700) when it is missing, and checks that it is ours, and that others cannot write to it: who can
 * write there can hold the locks. Throws STATE_UNAVAILABLE, which the caller logs once and goes on without memory.
 */
export async function openStateDirectory(directory: string): Promise<void> {
  if (!isAbsolute(directory)) throw unavailable(directory, "it is not an absolute path");
  try {
    const created = await makeDirectory(directory, { mode: 0o700 });
    // mkdir() takes the bits of the umask away, which may be ours.
    if (created !== undefined) await chmod(directory, 0o700);
    await access(directory, constants.W_OK | constants.X_OK);
    const stats = await stat(directory);
    const why = whyNotOurs(stats);
    if (why === undefined) return;
    throw new Error(why);
  } catch (cause) {
    throw unavailable(directory, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function whyNotOurs(stats: Stats): string | undefined {
  if (!isOwn(stats)) return "it belongs to another user: chown it";
  if ((stats.mode & 0o002) !== 0) return "everybody may write to it: chmod 700 it";
  return (stats.mode & 0o020) === 0 ? undefined : "its group may write to it: chmod 700 it";
}

function unavailable(directory: string, why: string, cause?: unknown): StunmeshError {
  return new StunmeshError("STATE_UNAVAILABLE", `Cannot use the state directory "${directory}": ${why}`, { cause });
}
