/**
 * Runs one program to its end: input in, output out, nothing left behind.
 *
 * The program leads a process group of its own (setsid(2)). At the deadline, on cancellation and when it writes too much
 * the whole group is killed, so that what a script started ends with it. Node reaps the program in every case. What a
 * program leaves running in the background after a proper end is its own affair, unless it holds our pipes: then the call
 * waits a moment, kills the group and goes on.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import type { Clock } from "../clock.ts";
import { StunmeshError } from "../errors.ts";
import { openChildInput } from "./child-input.ts";

/** Most of standard output that is kept. */
const MAX_OUTPUT_BYTES = 64 * 1024;
/** How long another process may hold the pipes after the program itself has ended. */
const GRACE_MS = 200;
const STDERR_TAIL_BYTES = 8 * 1024;

export interface ChildOptions {
  /** Looked up in PATH when it has no slash. No shell is involved. */
  readonly command: string;
  readonly args: readonly string[];
  /** All of standard input; undefined = there is none. */
  readonly input: string | undefined;
  /** All environment variables; undefined = those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** For messages: "Cannot <action>: why". */
  readonly action: string;
  /** Asked once, when standard output passes 64 KiB: true drops what follows, false ends the program with STORE_REPLY_INVALID. */
  readonly isEnough: (stdout: Buffer) => boolean;
}

export interface ChildResult {
  /** At most a little over 64 KiB. */
  readonly stdout: Buffer;
  /** The last 8 KiB, as they came: scrub before showing. */
  readonly stderr: string;
  /** Exit status; undefined when a signal ended it. */
  readonly status: number | undefined;
  /** How it ended, when that was not exit status 0: "exit status 3", "killed by SIGSEGV". */
  readonly failure: string | undefined;
}

type Child = ChildProcessByStdio<Writable | null, Readable, Readable>;

/**
 * Starts the program and waits for its end. Throws STORE_UNAVAILABLE when it cannot be started and STORE_REPLY_INVALID when
 * it writes too much; rejects with the reason of `signal` at once when that is aborted.
 */
export async function runChild(options: ChildOptions): Promise<ChildResult> {
  const { signal, action, command } = options;
  signal.throwIfAborted();
  const input = options.input === undefined ? undefined : await openChildInput(options.input);
  try {
    signal.throwIfAborted();
    const child: Child = spawn(command, options.args, {
      detached: true,
      stdio: [input?.fd ?? (options.input === undefined ? "ignore" : "pipe"), "pipe", "pipe"],
      env: options.env,
    }) as Child;
    // A program that does not read its input makes this pipe break (EPIPE), which is its right.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input);
    return await waitForEnd(child, options);
  } catch (error) {
    // spawn() itself throws for what the kernel never saw, such as a NUL character in an argument.
    if (error instanceof StunmeshError || signal.aborted) throw error;
    throw startError(error, { command, action });
  } finally {
    await input?.close();
  }
}

function waitForEnd(child: Child, options: ChildOptions): Promise<ChildResult> {
  const { clock, signal, action, command, isEnough } = options;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let stdoutBytes = 0;
    let isDropping = false;
    let stderr: Buffer = Buffer.alloc(0);
    let status: number | undefined;
    let failure: string | undefined;
    const graceOver = new AbortController();

    function release() {
      signal.removeEventListener("abort", onAbort);
      graceOver.abort();
      for (const stream of [child.stdin, child.stdout, child.stderr]) stream?.destroy();
    }
    function succeed() {
      release();
      resolve({ stdout: Buffer.concat(chunks), stderr: stderr.toString("utf8"), status, failure });
    }
    function fail(error: unknown) {
      release();
      reject(error);
    }
    function onAbort() {
      killGroup(child.pid);
      fail(signal.reason);
    }

    signal.addEventListener("abort", onAbort, { once: true });
    child.stdout.on("data", (chunk: Buffer) => {
      if (isDropping) return;
      chunks.push(chunk);
      stdoutBytes += chunk.length;
      if (stdoutBytes <= MAX_OUTPUT_BYTES) return;
      // Closing the pipe instead of reading on would end a correct but talkative program by SIGPIPE.
      isDropping = isEnough(Buffer.concat(chunks));
      if (isDropping) return;
      killGroup(child.pid);
      fail(new StunmeshError("STORE_REPLY_INVALID", `Cannot ${action}: more than 64 KiB on standard output`));
    });
    child.stderr.on("data", (chunk: Buffer) => {
      stderr = Buffer.concat([stderr, chunk]).subarray(-STDERR_TAIL_BYTES);
    });
    child.once("error", (error) => fail(startError(error, { command, action })));
    child.once("exit", (exitStatus, exitSignal) => {
      status = exitStatus ?? undefined;
      failure = exitStatus === 0 ? undefined : exitSignal ? `killed by ${exitSignal}` : `exit status ${exitStatus}`;
      clock.sleep(GRACE_MS, graceOver.signal).then(
        () => {
          killGroup(child.pid);
          succeed();
        },
        () => undefined,
      );
    });
    child.once("close", succeed);
  });
}

/**
 * Kills every process of the group `pid` leads or led. The number cannot belong to another group while one of its members
 * is alive; that it is taken again within the grace time by a group that has nothing to do with us is not to be feared.
 */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // ESRCH: all have ended by themselves. EPERM: only processes of another user are left (sudo), which we cannot end.
  }
}

/** Without the cause: Node's error carries the arguments, and they may hold a token. */
function startError(
  error: unknown,
  { command, action }: { readonly command: string; readonly action: string },
): StunmeshError {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  let why = `cannot start "${command}"`;
  if (code === "ENOENT" && !command.includes("/")) why = `no command "${command}" in PATH`;
  else if (code === "ENOENT") why = `no file "${command}", or the interpreter named in its first line is missing`;
  else if (code === "EACCES") why = `"${command}" is not executable`;
  else if (typeof code === "string") why = `${why}: ${code}`;
  return new StunmeshError("STORE_UNAVAILABLE", `Cannot ${action}: ${why}`);
}
