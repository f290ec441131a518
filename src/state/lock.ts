/**
 * That only one daemon serves an interface: a lock on a file, which the kernel takes back when the process ends.
 *
 * Invariant: a lock is held by a living process or by nobody, so none is ever stale. It belongs to the opening of the
 * file, which is closed in programs that this one starts (O_CLOEXEC, which Node always sets). The file is never removed:
 * of two processes one could then hold the lock on the removed file and one that on its successor. See flock(2).
 */
import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";
import { join } from "node:path";
import { StunmeshError } from "../errors.ts";
import { type Libc, loadLibc } from "../platform/native/libc.ts";
import { assertOwnFile } from "./private-file.ts";

export interface InterfaceLock {
  /** Lets go of the lock; a second time does nothing. */
  release(): Promise<void>;
}

interface LockOptions {
  /** Opened with openStateDirectory. */
  readonly directory: string;
  readonly interface: string;
}

/**
 * Takes the lock of an interface at once or not at all. Throws ALREADY_RUNNING when another process has it, and
 * STATE_UNAVAILABLE when locking is not possible here: the caller then goes on without.
 */
export async function lockInterface(options: LockOptions): Promise<InterfaceLock> {
  const path = join(options.directory, `${options.interface}.lock`);
  const { libc, fd } = await openLock(path);
  try {
    libc.lockFile(fd);
  } catch (cause) {
    const holder = readHolder(fd);
    closeSync(fd);
    // EWOULDBLOCK is the same number.
    if ((cause as NodeJS.ErrnoException).code !== "EAGAIN") throw unavailable(path, cause);
    throw new StunmeshError(
      "ALREADY_RUNNING",
      `Cannot serve interface "${options.interface}": ${holder} does already; stop that one first, or, if it is in another ` +
        'network namespace, give this one a "state_directory" of its own',
      { cause },
    );
  }
  writeHolder(fd, `${process.pid}\n`);
  let isHeld = true;
  return {
    async release() {
      if (!isHeld) return;
      isHeld = false;
      writeHolder(fd, "");
      closeSync(fd);
    },
  };
}

/** The descriptor is a plain number: one that is collected as garbage would let go of the lock. */
async function openLock(path: string): Promise<{ readonly libc: Libc; readonly fd: number }> {
  let fd: number | undefined;
  try {
    const libc = await loadLibc();
    const { O_RDWR, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
    fd = openSync(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK, 0o600);
    assertOwnFile(fstatSync(fd));
    fchmodSync(fd, 0o600);
    return { libc, fd };
  } catch (cause) {
    if (fd !== undefined) closeSync(fd);
    throw unavailable(path, cause);
  }
}

/** The process that has the lock, as far as it has written that down: only for people. */
function readHolder(fd: number): string {
  const buffer = Buffer.alloc(16);
  const text = buffer.toString("latin1", 0, readSync(fd, buffer, 0, buffer.length, 0));
  const [, pid] = /^(\d+)\n$/.exec(text) ?? [];
  return pid === undefined ? "another process" : `process ${pid}`;
}

/** Not being able to, on a full disk, is no reason to fail: the lock holds without it. */
function writeHolder(fd: number, text: string): void {
  try {
    ftruncateSync(fd);
    writeSync(fd, text, 0);
  } catch {
    // The next one to come is told "another process".
  }
}

function unavailable(path: string, cause: unknown): StunmeshError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new StunmeshError("STATE_UNAVAILABLE", `Cannot lock "${path}": ${why}`, { cause });
}
