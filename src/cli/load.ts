/** What every command does first: find the configuration, read it, and open the log it asks for. */

import { readConfig } from "../config/read.ts";
import { findConfig } from "../config/search.ts";
import type { Config } from "../config/types.ts";
import { StunmeshError } from "../errors.ts";
import { createLog, type Log } from "../log.ts";
import type { LogFormat, LogLevel } from "../log-level.ts";
import { plugins } from "../plugins/index.ts";

/** Options every command that reads a configuration has. */
export interface CommonOptions {
  readonly config?: string | undefined;
  readonly configDir?: string | undefined;
  readonly logLevel?: LogLevel | undefined;
  readonly logFormat?: LogFormat | undefined;
  readonly lenient?: boolean | undefined;
}

export interface Loaded {
  readonly config: Config;
  readonly log: Log;
  /** Warnings about the configuration, for a person; logged already. */
  readonly warnings: readonly string[];
}

/** Throws USAGE, and what findConfig and readConfig throw. `logTo`: 1 for a daemon, 2 for a command whose output is on stdout. */
export async function load(options: CommonOptions, { logTo }: { readonly logTo: 1 | 2 }): Promise<Loaded> {
  // An empty shell variable must not make us take another file than the one that was meant.
  if (options.config === "") throw new StunmeshError("USAGE", "Cannot use --config: it is empty");
  if (options.configDir === "") throw new StunmeshError("USAGE", "Cannot use --config-dir: it is empty");
  const { env } = process;
  const found = await findConfig({
    file: options.config,
    directory: options.configDir,
    env,
    cwd: process.cwd(),
  });
  const parsed = await readConfig({
    path: found.path,
    pluginSchemas: Object.fromEntries(Object.entries(plugins).map(([kind, { schema }]) => [kind, schema])),
    env,
    lenient: options.lenient ?? false,
  });
  const { config } = parsed;
  const log = await createLog({
    level: options.logLevel ?? config.log.level,
    format: options.logFormat ?? config.log.format,
    fd: logTo,
  });
  const warnings = [...found.skipped, ...parsed.warnings.map(({ text }) => text)];
  for (const warning of warnings) log.warn({ path: config.path, reason: warning }, "configuration");
  return { config, log, warnings };
}

/** Throws CONFIG_INVALID when there is nothing to do: no interface has a peer. */
export function assertInterfaces({ path, interfaces }: Config): void {
  if (interfaces.some(({ peers }) => peers.length > 0)) return;
  throw new StunmeshError("CONFIG_INVALID", `Cannot do anything with "${path}": it has no interface with peers`);
}
