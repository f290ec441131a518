/**
 * Runs wg(8) once: no shell, no input, an environment of its own, bounded output, and a process group of its own that is
 * killed when it takes too long. What it prints contains keys.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { type ByteCollector, createByteCollector, MAX_REPLY_BYTES } from "./collect.ts";

const MAX_STDERR_BYTES = 4096;

/** Where wg(8) lives when the PATH that we were started with is too short: Linux, FreeBSD's packages, Homebrew. */
const usualDirs = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/homebrew/bin";

export interface ToolResult {
  /** undefined when a signal ended it, or when it wrote too much. */
  readonly exitCode: number | undefined;
  readonly stdout: ByteCollector;
  readonly isTooLong: boolean;
  /** The end of what it wrote there; may contain keys. */
  readonly stderr: string;
}

interface RunOptions {
  readonly args: readonly string[];
  readonly signal: AbortSignal;
}

/** Runs `command` to its end. Rejects with the error of spawn(2), or with the signal's reason when aborted. */
export async function runTool(command: string, { args, signal }: RunOptions): Promise<ToolResult> {
  signal.throwIfAborted();
  const child = spawn(command, args, {
    // A directory that always exists: one that was deleted makes spawn fail as if the command were missing.
    cwd: "/",
    detached: true,
    env: { PATH: `${process.env.PATH ?? ""}:${usualDirs}`, LC_ALL: "C", WG_COLOR_MODE: "never" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const kill = () => killGroup(child);
  signal.addEventListener("abort", kill, { once: true });
  const stdout = createByteCollector(MAX_REPLY_BYTES);
  try {
    const result = await collectOutput(child, stdout);
    signal.throwIfAborted();
    return result;
  } catch (error) {
    stdout.wipe();
    throw error;
  } finally {
    signal.removeEventListener("abort", kill);
  }
}

function collectOutput(child: ChildProcess, stdout: ByteCollector): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    let isTooLong = false;
    let stderr: Buffer = Buffer.alloc(0);
    let isStderrCut = false;
    child.stdout?.on("data", (chunk: Buffer) => {
      if (isTooLong || stdout.push(chunk)) return;
      isTooLong = true;
      killGroup(child);
    });
    child.stderr?.on("data", (chunk: Buffer) => {
      const all = Buffer.concat([stderr, chunk]);
      isStderrCut ||= all.length > MAX_STDERR_BYTES;
      stderr = all.subarray(-MAX_STDERR_BYTES);
    });
    child.on("error", reject);
    child.on("close", (code) => {
      const text = stderr.toString("utf8");
      // Half a word at the cut may be half a key, which nothing would recognize as one.
      const tail = isStderrCut ? text.replace(/^\S*/, "") : text;
      resolve({ exitCode: code ?? undefined, stdout, isTooLong, stderr: tail });
    });
  });
}

/** Kills the child and everything it started, and stops listening to whoever still holds its pipes. */
function killGroup(child: ChildProcess): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, "SIGKILL");
  } catch (error) {
    // ESRCH: it ended by itself at this moment. EPERM (macOS): only zombies are left in the group.
    if (!(error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "EPERM"))) throw error;
  }
}
