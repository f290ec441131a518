/**
 * Where the configuration is: the file or the directory that was asked for, else the first one found in the usual places,
 * which are those of STUNMESH-go.
 */
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { StunmeshError } from "../errors.ts";
import { readError } from "./read.ts";

interface FindConfigOptions {
  /** `--config`: this file and no other. */
  readonly file?: string | undefined;
  /** `--config-dir`: this directory and no other. */
  readonly directory?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

interface FoundConfig {
  /** Absolute. */
  readonly path: string;
  /** Files that come first but cannot be used, with the reason: to be logged. */
  readonly skipped: readonly string[];
}

const fileNames = ["config.yaml", "config.yml"] as const;

/**
 * Finds the configuration file. A `file` that was asked for is not looked at: reading it says what is wrong.
 * Throws CONFIG_NOT_FOUND naming every path that was tried, or CONFIG_UNREADABLE when something is there but unusable.
 */
export async function findConfig({ file, directory, env, cwd }: FindConfigOptions): Promise<FoundConfig> {
  if (file) return { path: resolve(cwd, file), skipped: [] };
  const home = env.HOME;
  const directories = directory
    ? [directory]
    : [env.STUNMESH_CONFIG_DIR, "/etc/stunmesh", home && join(home, ".stunmesh"), "."];
  const candidates = new Set(
    directories.flatMap((place) => (place ? fileNames.map((name) => resolve(cwd, place, name)) : [])),
  );
  const problems: StunmeshError[] = [];
  for (const path of candidates) {
    const problem = await whyUnusable(path);
    if (!problem) return { path, skipped: problems.map(({ message }) => message) };
    if (problem.code !== "CONFIG_NOT_FOUND") problems.push(problem);
  }
  const [cause] = problems;
  if (cause) {
    const reasons = problems.map(({ message }) => message).join("\n");
    throw new StunmeshError("CONFIG_UNREADABLE", reasons, { cause });
  }
  const searched = [...candidates].join(", ");
  throw new StunmeshError("CONFIG_NOT_FOUND", `Cannot find a configuration: none of these exists: ${searched}`);
}

async function whyUnusable(path: string): Promise<StunmeshError | undefined> {
  try {
    const found = await stat(path);
    if (!found.isDirectory()) return undefined;
    return new StunmeshError(
      "CONFIG_UNREADABLE",
      `Cannot read the configuration ${JSON.stringify(path)}: it is a directory`,
    );
  } catch (cause) {
    return readError(path, cause);
  }
}
