/**
 * The command line's first look. The start of a daemon is read without yargs: services start at boot on small routers, and
 * yargs alone takes longer to load than everything else before the first packet. What is not plainly a start is yargs's.
 */
import { parseArgs } from "node:util";
import { logFormats, logLevels } from "../log-level.ts";
import type { RunOptions } from "./run.ts";

/** STUNMESH-go's options are Go's: one dash is as good as two. */
const GO_STYLE = new Set(["-config", "-config-dir", "-oneshot", "-version", "-help"]);

/**
 * Runs the command that `args` (without node and script) ask for. Resolves with the exit code; throws StunmeshError with
 * code USAGE for a bad command line, and what the command throws.
 */
export async function runCommandLine(args: readonly string[], signal: AbortSignal): Promise<number> {
  const normal = normalize(args);
  const plain = parsePlainRun(normal);
  if (plain) {
    const { run } = await import("./run.ts");
    return run(plain, signal);
  }
  const { runCommand } = await import("./index.ts");
  return runCommand(normal, signal);
}

/** True when `args` start the daemon. */
export function isPlainRun(args: readonly string[]): boolean {
  const plain = parsePlainRun(normalize(args));
  return plain !== undefined && plain.oneshot !== true;
}

function normalize(args: readonly string[]): readonly string[] {
  return args.map((arg) => (GO_STYLE.has(arg.split("=", 1)[0] ?? "") ? `-${arg}` : arg));
}

/** The options of `run` when `args` is nothing but a correct `[run] [options]`; else undefined. */
function parsePlainRun(args: readonly string[]): RunOptions | undefined {
  const parsed = parseStrictly(args);
  if (!parsed) return undefined;
  const { values, positionals } = parsed;
  const { config, lenient, oneshot, "config-dir": configDir, "log-level": level, "log-format": format } = values;
  const logLevel = logLevels.find((known) => known === level);
  const logFormat = logFormats.find((known) => known === format);
  const isRun = positionals.every((word, index) => index === 0 && word === "run");
  const isKnown = logLevel === level && logFormat === format && config !== "" && configDir !== "";
  return isRun && isKnown ? { config, configDir, logLevel, logFormat, lenient, oneshot } : undefined;
}

function parseStrictly(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        config: { type: "string", short: "c" },
        "config-dir": { type: "string" },
        "log-level": { type: "string" },
        "log-format": { type: "string" },
        lenient: { type: "boolean" },
        oneshot: { type: "boolean" },
      },
    });
  } catch {
    // Another command, --help, or a mistake: yargs knows what to say.
    return undefined;
  }
}
