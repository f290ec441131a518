/** A systemd of its own for a test: boot.sh, and what the script that runs in it says. Needs root. */
import { spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
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
  // Not below /tmp, which is another one inside.
  const directory = await mkdtemp("/var/tmp/stunmesh-systemd-test-");
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
  const namespaces = ["--mount", "--pid", "--fork", "--uts", "--ipc", "--net", "--cgroup", "--kill-child"];
  const child = spawn("unshare", [...namespaces, "bash", join(folder, "boot.sh"), ...args], { stdio: "inherit" });
  // unshare(1) ignores SIGTERM while its child runs.
  const timer = setTimeout(() => child.kill("SIGKILL"), LIMIT_MS);
  await new Promise((resolve, reject) => child.once("close", resolve).once("error", reject));
  clearTimeout(timer);
}

/** Copies a folder of the repository to `to`. */
export async function copyFolder(name: string, { to, except }: { readonly to: string; readonly except?: string }) {
  const filter = (path: string) => except === undefined || !path.endsWith(except);
  await cp(join(repositoryRoot, name), to, { recursive: true, filter });
}
