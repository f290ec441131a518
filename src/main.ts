#!/usr/bin/env node
/** The program: runs the command line, turns signals into an orderly stop and errors into exit codes. */
import { setMaxListeners } from "node:events";
import { constants } from "node:os";
import { isPlainRun, runCommandLine } from "./cli/start.ts";
import { systemClock } from "./clock.ts";
import { errorKinds, isAbort, StunmeshError } from "./errors.ts";
import { printable } from "./printable.ts";

/** After a signal everything stops by itself; what still hangs after this time is left behind. */
const STOP_TIMEOUT_MS = 400;
/** sysexits.h: a bug of ours. */
const EX_SOFTWARE = 70;

// What no mode was given for, here or in programs that plugins start, is for nobody else to read.
process.umask(0o077);
// Without a listener Node opens its debugger on SIGUSR1, for every user of the machine. The daemon adds one that does something.
process.on("SIGUSR1", () => undefined);

// The daemon reads its configuration again on SIGHUP; before it does, there is nothing to read again. To all else it is the end.
process.removeAllListeners("SIGHUP");
if (isPlainRun(process.argv.slice(2))) process.on("SIGHUP", () => undefined);

const stop = new AbortController();
let stoppedBy: "SIGINT" | "SIGTERM" = "SIGTERM";
// Every call under way listens to it, and there may be thousands.
setMaxListeners(0, stop.signal);
for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => onSignal(name));

function onSignal(name: "SIGINT" | "SIGTERM"): void {
  if (stop.signal.aborted) process.exit(128 + constants.signals[name]);
  stoppedBy = name;
  stop.abort();
  void systemClock.sleep(STOP_TIMEOUT_MS).then(() => process.exit(0));
}

runCommandLine(process.argv.slice(2), stop.signal).then(
  (exitCode) => exitWhenWritten(exitCode),
  (error: unknown) => {
    // A command that was interrupted before it was done; the daemon itself ends with 0.
    if (isAbort(error) && stop.signal.aborted) process.exit(128 + constants.signals[stoppedBy]);
    if (error instanceof StunmeshError) {
      console.error(`stunmesh-ts: ${error.message.split("\n").map(printable).join("\n")}`);
      process.exit(errorKinds[error.code].exitCode);
    }
    console.error("stunmesh-ts: internal error, please report it:", error);
    process.exit(EX_SOFTWARE);
  },
);

/** A pipe takes 64 KiB at a time, and what is still to be written would be lost with the process. */
function exitWhenWritten(exitCode: number): void {
  const { stdout } = process;
  if (stdout.writableLength === 0) process.exit(exitCode);
  // The reader went away, as head(1) does.
  stdout.on("error", () => process.exit(exitCode));
  stdout.write("", () => process.exit(exitCode));
}
