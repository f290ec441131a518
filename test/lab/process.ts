/** Commands and long-lived processes of the laboratory. Nothing here knows about namespaces. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { PATIENCE_MS } from "./wait.ts";

export interface CommandOptions {
  readonly signal?: AbortSignal;
  /** Default PATIENCE_MS. */
  readonly timeoutMs?: number;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Given on standard input. */
  readonly input?: string;
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, whatever its exit status. Throws when it cannot start, is aborted or out of time. */
export async function runCommand(argv: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
  const { timeoutMs = PATIENCE_MS, signal } = options;
  const deadline = AbortSignal.timeout(timeoutMs);
  const child = start(argv, {
    ...options,
    signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
    stdin: options.input === undefined ? "ignore" : "pipe",
  });
  child.stdin?.end(options.input);
  const [code, stdout, stderr] = await Promise.all([
    new Promise<number | null>((resolve, reject) => {
      child.once("error", (error) => {
        signal?.throwIfAborted();
        const why = deadline.aborted ? `not done within ${timeoutMs} ms` : error.message;
        reject(new Error(`Cannot run "${argv.join(" ")}": ${why}`, { cause: error }));
      });
      child.once("close", resolve);
    }),
    readAll(child.stdout),
    readAll(child.stderr),
  ]);
  return { code, stdout, stderr };
}

/** Runs a command and gives what it wrote to standard output. Throws when it fails. */
export async function readCommand(argv: readonly string[], options: CommandOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await runCommand(argv, options);
  if (code !== 0) {
    throw new Error(`Cannot run "${argv.join(" ")}": exit status ${code}: ${stderr.trim() || stdout.trim()}`);
  }
  return stdout;
}

export interface SpawnOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Both outputs are written there as well. */
  readonly logFile?: string;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface LabProcess {
  readonly pid: number;
  /** Resolves when the process has ended and all its output is in `lines`. */
  readonly exited: Promise<Exit>;
  /** Lines of both outputs so far, in the order they came. */
  readonly lines: readonly string[];
  /** Calls `listener` with every line from now on. */
  onLine(listener: (line: string) => void): void;
  /** The first line, of those that came and those to come, that satisfies `predicate`. Default timeout PATIENCE_MS. */
  waitForLine(
    predicate: (line: string) => boolean,
    options?: { readonly timeoutMs?: number; readonly what?: string },
  ): Promise<string>;
  /** Sends a signal (default SIGTERM) and waits for the end; SIGKILL after PATIENCE_MS. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

/** Starts a process and collects its output by lines. */
export async function spawnProcess(argv: readonly string[], options: SpawnOptions = {}): Promise<LabProcess> {
  // It ends with this process, however that ends.
  const child = start(["setpriv", "--pdeathsig", "KILL", "--", ...argv], { ...options, stdin: "ignore" });
  const exited = new Promise<Exit>((resolve) => child.once("close", (code, signal) => resolve({ code, signal })));
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => reject(new Error(`Cannot start "${argv.join(" ")}": ${error.message}`)));
  });
  const lines: string[] = [];
  const listeners = new Set<(line: string) => void>();
  const log = options.logFile === undefined ? undefined : createWriteStream(options.logFile);
  for (const stream of [child.stdout, child.stderr]) {
    if (!stream) continue;
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      log?.write(`${line}\n`);
      for (const listener of listeners) listener(line);
    });
  }
  void exited.then(() => log?.end());

  return {
    pid: child.pid!,
    exited,
    lines,
    onLine(listener) {
      listeners.add(listener);
    },
    waitForLine(predicate, { timeoutMs = PATIENCE_MS, what = "a line" } = {}) {
      const seen = lines.find(predicate);
      if (seen !== undefined) return Promise.resolve(seen);
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => give(`not within ${timeoutMs} ms`), timeoutMs);
        listeners.add(onLine);
        void exited.then(({ code, signal }) => give(`the process ended with ${signal ?? `status ${code}`}`));
        function onLine(line: string) {
          if (!predicate(line)) return;
          finish();
          resolve(line);
        }
        function give(why: string) {
          finish();
          reject(
            new Error(`Cannot see ${what} of "${argv.join(" ")}": ${why}; last lines:\n${lines.slice(-15).join("\n")}`),
          );
        }
        function finish() {
          clearTimeout(timer);
          listeners.delete(onLine);
        }
      });
    },
    async stop(signal = "SIGTERM") {
      child.kill(signal);
      const patience = new AbortController();
      const late = sleep(PATIENCE_MS, "late" as const, { signal: patience.signal }).catch(() => "stopped" as const);
      const first = await Promise.race([exited, late]);
      if (first === "late") child.kill("SIGKILL");
      patience.abort();
      return exited;
    },
  };
}

interface StartOptions extends SpawnOptions {
  readonly signal?: AbortSignal;
  readonly stdin: "ignore" | "pipe";
}

function start([command, ...args]: readonly string[], { env, cwd, signal, stdin }: StartOptions): ChildProcess {
  return spawn(command!, args, {
    stdio: [stdin, "pipe", "pipe"],
    env: { ...process.env, ...env },
    ...(cwd === undefined ? {} : { cwd }),
    ...(signal === undefined ? {} : { signal }),
  });
}

async function readAll(stream: NodeJS.ReadableStream | null): Promise<string> {
  if (!stream) return "";
  const chunks: Buffer[] = [];
  // A stream that breaks off because its process was ended has told all it had to tell.
  stream.on("error", () => undefined);
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString("utf8");
}
