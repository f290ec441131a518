/** A systemd of its own for a test: run.sh, and what the script that runs in it says. Needs root. */
import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { repositoryRoot } from "../../fixtures/path.ts";

/** Longer than everything that is waited for inside is given. */
const LIMIT_MS = 300_000;
const folder = join(repositoryRoot, "test/lab/systemd");

export interface Seen {
  /** What was said as `key=value`. */
  readonly values: ReadonlyMap<string, string>;
  /** All of the output, for the message of a failure. */
  readonly text: string;
}

/** Boots, runs `script` (a file beside boot.sh) as root, and resolves when it is over. `prepare` fills the folder that is laid over /. */
export async function runInSystemd(script: string, prepare: (copy: string) => Promise<void>): Promise<Seen> {
  const directory = await mkdtemp(join(tmpdir(), "stunmesh-systemd-"));
  try {
    const [copy, out] = [join(directory, "copy"), join(directory, "out")];
    await Promise.all([mkdir(join(copy, "usr/local/bin"), { recursive: true }), mkdir(out)]);
    await prepare(copy);
    await boot([copy, out, join(folder, script), process.execPath]);
    const text = await readFile(join(out, "log"), "utf8");
    const lines = [...text.matchAll(/^([a-z]+(?:\.[a-z]+)?)=(.*)$/gm)];
    return { values: new Map(lines.map(([, key = "", value = ""]) => [key, value])), text };
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function boot(args: readonly string[]): Promise<void> {
  const child = spawn("bash", [join(folder, "run.sh"), ...args], { stdio: ["pipe", "inherit", "inherit"] });
  const timer = setTimeout(() => child.stdin.end(), LIMIT_MS);
  await new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
  clearTimeout(timer);
}

/** Copies a folder of the repository to `to`. */
export async function copyFolder(name: string, { to, except }: { readonly to: string; readonly except?: string }) {
  const filter = (path: string) => except === undefined || !path.endsWith(except);
  await cp(join(repositoryRoot, name), to, { recursive: true, filter });
}
