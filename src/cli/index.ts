/** The command line: which commands and options there are. Each command is a file of its own, loaded when it is used. */
import yargs from "yargs";
import { StunmeshError } from "../errors.ts";
import { type LogFormat, type LogLevel, logFormats, logLevels } from "../log-level.ts";
import { version } from "../version.ts";

const USAGE = `stunmesh-ts ${version}: lets WireGuard peers behind NAT find each other

Usage: stunmesh-ts [command] [options]`;

/**
 * Runs the command that `args` (see start.ts) ask for. Resolves with the exit code; throws StunmeshError with
 * code USAGE for a bad command line, and what the command throws.
 */
export async function runCommand(args: readonly string[], signal: AbortSignal): Promise<number> {
  let exitCode = 0;
  const parser = yargs([...args])
    .scriptName("stunmesh-ts")
    .usage(USAGE)
    .option("config", { alias: "c", type: "string", describe: "Configuration file", requiresArg: true })
    .option("config-dir", { type: "string", describe: "Directory with config.yaml or config.yml", requiresArg: true })
    .option("log-level", { choices: logLevels, describe: "Overrides log.level", requiresArg: true })
    .option("log-format", {
      choices: logFormats,
      describe: "Overrides log.format",
      requiresArg: true,
    })
    .option("lenient", { type: "boolean", describe: "Unknown keys in the configuration are warnings" })
    .command(
      ["run", "$0"],
      "Keep the peers reachable (what is done without a command)",
      (y) => y.option("oneshot", { type: "boolean", describe: "Bring every peer up once and exit" }),
      async (options) => {
        const { run } = await import("./run.ts");
        exitCode = await run(options, signal);
      },
    )
    .command(
      "publish [names..]",
      "Publish this host's address once, to all peers or to the named interfaces and peers",
      (y) => y.positional("names", { type: "string", array: true }).option("json", { type: "boolean" }),
      async (options) => {
        const { publish } = await import("./once.ts");
        exitCode = await publish({ ...options, names: options.names ?? [] }, signal);
      },
    )
    .command(
      "establish [names..]",
      "Fetch the peers' addresses once and set their endpoints",
      (y) => y.positional("names", { type: "string", array: true }).option("json", { type: "boolean" }),
      async (options) => {
        const { establish } = await import("./once.ts");
        exitCode = await establish({ ...options, names: options.names ?? [] }, signal);
      },
    )
    .command(
      "check",
      "Check the configuration",
      (y) => y,
      async (options) => {
        const { check } = await import("./check.ts");
        exitCode = await check(options);
      },
    )
    .command(
      "store test <plugin>",
      "Write, read back and time a throw-away value in a plugin's store",
      (y) => y.positional("plugin", { type: "string", demandOption: true }),
      async (options) => {
        const { testStore } = await import("./store-test.ts");
        exitCode = await testStore(options, signal);
      },
    )
    .version(version)
    .help()
    .alias("help", "h")
    .coerce(["config", "config-dir"], lastOf<string>)
    .coerce("log-level", lastOf<LogLevel>)
    .coerce("log-format", lastOf<LogFormat>)
    .strict()
    .wrap(Math.min(100, process.stdout.columns ?? 100))
    .exitProcess(false)
    .fail((message, error) => {
      if (error && error.name !== "YError") throw error;
      const text = (message ?? error.message).replace(/\s+/g, " ");
      throw new StunmeshError("USAGE", `${text}: see "stunmesh-ts --help"`);
    });
  await parser.parseAsync();
  return exitCode;
}

/** Of an option that is given twice the last one counts, as in Go. */
function lastOf<T extends string>(value: T | readonly T[]): T | undefined {
  return typeof value === "string" ? value : value.at(-1);
}
