/** The command line: which commands and options there are. Each command is a file of its own, loaded when it is used. */
import yargs, { type Argv } from "yargs";
import { StunmeshError } from "../errors.ts";
import { type LogFormat, type LogLevel, logFormats, logLevels } from "../log-level.ts";
import { version } from "../version.ts";
import { completionShells } from "./completion/shells.ts";
import { initOptions } from "./init/options.ts";

const USAGE = `stunmesh-ts ${version}: lets WireGuard peers behind NAT find each other

Usage: stunmesh-ts [command] [options]`;

const jsonOption = { type: "boolean", describe: "Print the result as JSON" } as const;
const socketOption = { type: "string", describe: "Control socket of the daemon", requiresArg: true } as const;

/**
 * Runs the command that `args` (see start.ts) ask for. Resolves with the exit code; throws StunmeshError with
 * code USAGE for a bad command line, and what the command throws.
 */
export async function runCommand(args: readonly string[], signal: AbortSignal): Promise<number> {
  const { parser, exitCode } = declareCommandLine(yargs([...args]), signal);
  await parser.parseAsync();
  return exitCode();
}

interface Declared {
  readonly parser: { parseAsync(): unknown };
  /** That of the command that ran. */
  exitCode(): number;
}

/** Tells `target` every command and option: yargs, or what only wants to know them (command-line.ts). */
export function declareCommandLine(target: Argv, signal: AbortSignal): Declared {
  let exitCode = 0;
  const parser = target
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
      (y) => y.positional("names", { type: "string", array: true }).option("json", jsonOption),
      async (options) => {
        const { publish } = await import("./once.ts");
        exitCode = await publish({ ...options, names: options.names ?? [] }, signal);
      },
    )
    .command(
      "establish [names..]",
      "Fetch the peers' addresses once and set their endpoints",
      (y) => y.positional("names", { type: "string", array: true }).option("json", jsonOption),
      async (options) => {
        const { establish } = await import("./once.ts");
        exitCode = await establish({ ...options, names: options.names ?? [] }, signal);
      },
    )
    .command(
      "status [names..]",
      "Show what the daemon knows: own addresses, peers, and why one is not reachable",
      (y) =>
        y
          .positional("names", { type: "string", array: true })
          .option("json", jsonOption)
          .option("watch", { alias: "w", type: "boolean", describe: "Again every second, until interrupted" })
          .option("socket", socketOption),
      async (options) => {
        const { status } = await import("./status.ts");
        exitCode = await status({ ...options, names: options.names ?? [] }, signal);
      },
    )
    .command(
      "why <peer>",
      "Say why a peer is not reachable, and what is known about it",
      (y) => y.positional("peer", { type: "string", demandOption: true }).option("socket", socketOption),
      async (options) => {
        const { why } = await import("./status.ts");
        exitCode = await why(options, signal);
      },
    )
    .command(
      "refresh [names..]",
      "Have the daemon publish and look up now, for all peers or the named ones",
      (y) => y.positional("names", { type: "string", array: true }).option("socket", socketOption),
      async (options) => {
        const { refresh } = await import("./tell.ts");
        exitCode = await refresh({ ...options, names: options.names ?? [] }, signal);
      },
    )
    .command(
      "reload",
      "Have the daemon read its configuration again",
      (y) => y.option("socket", socketOption),
      async (options) => {
        const { reload } = await import("./tell.ts");
        exitCode = await reload(options, signal);
      },
    )
    .command(
      "events",
      "Print what happens, one line of JSON each, until interrupted",
      (y) => y.option("socket", socketOption),
      async (options) => {
        const { events } = await import("./tell.ts");
        exitCode = await events(options, signal);
      },
    )
    .command(
      "metrics",
      "Print the daemon's metrics, in the format of Prometheus",
      (y) => y.option("socket", socketOption),
      async (options) => {
        const { metrics } = await import("./tell.ts");
        exitCode = await metrics(options, signal);
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
      "doctor [name]",
      "Find out why peers are not reachable: of everything, or of one interface or peer",
      (y) => y.positional("name", { type: "string" }).option("json", jsonOption),
      async (options) => {
        const { doctor } = await import("./doctor.ts");
        exitCode = await doctor(options, signal);
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
    .command(
      "init",
      "Write a first configuration, with the peers that WireGuard has",
      (y) => y.options(initOptions),
      async (options) => {
        const { init } = await import("./init.ts");
        exitCode = await init(options, signal);
      },
    )
    .command(
      "schema",
      "Print the JSON Schema of the configuration, for editors",
      (y) => y,
      async () => {
        const { printSchema } = await import("./schema.ts");
        exitCode = printSchema();
      },
    )
    .command(
      "completion <shell>",
      "Print a script that completes this command line in bash or zsh",
      (y) => y.positional("shell", { choices: completionShells, demandOption: true }),
      async ({ shell }) => {
        const { printCompletion } = await import("./completion.ts");
        exitCode = printCompletion(shell, (recorder) => declareCommandLine(recorder, signal));
      },
    )
    .command(
      "compile",
      "Save the compiled program beside it, for faster starts",
      (y) => y,
      async () => {
        const { compile } = await import("./compile.ts");
        exitCode = await compile(signal);
      },
    )
    .command(
      "names",
      // Hidden: completion asks it what can stand for a name.
      false,
      (y) => y,
      async (options) => {
        const { printNames } = await import("./names.ts");
        exitCode = await printNames(options);
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
  return { parser, exitCode: () => exitCode };
}

/** Of an option that is given twice the last one counts, as in Go. */
function lastOf<T extends string>(value: T | readonly T[]): T | undefined {
  return typeof value === "string" ? value : value.at(-1);
}
