/** The program as it is installed: bundled as by `npm run build`, in a folder of its own, run as a user would. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repositoryRoot } from "../fixtures/path.ts";

export interface Result {
  /** Exit status, or the signal that ended it. */
  readonly status: number | string | null;
  readonly stdout: string;
  readonly stderr: string;
}

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** As a user without any right; only root can change users, everybody else has none in any case. */
  readonly unprivileged?: boolean;
}

export interface Running {
  readonly child: ChildProcess;
  /** Everything it has written so far. */
  output(): string;
  /** Resolves when `pattern` is in its output. Rejects when it ends before that. */
  said(pattern: RegExp): Promise<void>;
  readonly ended: Promise<Result>;
}

export interface Program {
  /** A directory for the test's files, readable by everybody. */
  readonly dir: string;
  run(args: readonly string[], options?: RunOptions): Promise<Result>;
  start(args: readonly string[], options?: RunOptions): Running;
  /** Writes a file into `dir` and gives its path. */
  write(name: string, text: string): string;
  close(): void;
}

const NOBODY = 65534;

/** Builds the program. */
export function buildProgram(): Program {
  const dir = mkdtempSync(join(tmpdir(), "stunmesh-cli-"));
  chmodSync(dir, 0o755);
  // What is not bundled; a copy, because the repository may be where another user may not look.
  for (const name of ["koffi", "@koromix"]) {
    cpSync(join(repositoryRoot, "node_modules", name), join(dir, "node_modules", name), { recursive: true });
  }
  const bundle = join(dir, "stunmesh-ts.js");
  execFileSync(process.execPath, [join(repositoryRoot, "packaging/bundle.mjs"), dir]);
  mkdirSync(join(dir, "home"));

  let started = 0;
  let written = 0;
  function start(args: readonly string[], { env, unprivileged = false }: RunOptions = {}): Running {
    const drop = unprivileged && process.getuid?.() === 0 ? { uid: NOBODY, gid: NOBODY } : {};
    const child = spawn(process.execPath, [bundle, ...args], {
      ...drop,
      cwd: join(dir, "home"),
      // A state directory of its own, as on a machine of its own: one interface is served by one daemon.
      env: {
        PATH: process.env.PATH,
        HOME: join(dir, "home"),
        STATE_DIRECTORY: mkdtempSync(join(dir, "state-")),
        RUNTIME_DIRECTORY: join(dir, `run-${++started}`),
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const texts = { stdout: "", stderr: "" };
    for (const name of ["stdout", "stderr"] as const) {
      child[name].setEncoding("utf8").on("data", (chunk: string) => {
        texts[name] += chunk;
        child.emit("said");
      });
    }
    const ended = once(child, "close").then(
      ([code, signal]): Result => ({ status: code ?? signal, stdout: texts.stdout, stderr: texts.stderr }),
    );
    const output = () => texts.stdout + texts.stderr;
    return {
      child,
      output,
      ended,
      async said(pattern) {
        while (!pattern.test(output())) {
          const over = await Promise.race([once(child, "said").then(() => false), ended.then(() => true)]);
          if (over && !pattern.test(output())) throw new Error(`it ended without ${pattern}: ${output()}`);
        }
      },
    };
  }

  return {
    dir,
    start,
    run: (args, options) => start(args, options).ended,
    write(name, text) {
      const path = join(dir, name);
      const temporary = `${path}.${++written}`;
      writeFileSync(temporary, text, { mode: 0o644 });
      // In one step: a program that another test has started may just be reading the file.
      renameSync(temporary, path);
      return path;
    },
    close: () => rmSync(dir, { recursive: true, force: true }),
  };
}
