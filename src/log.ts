/**
 * Logging: pino, writing to our own destination. The message is a constant; everything variable is a field of the closed
 * list below. `info` is a change; a healthy hour is silent. Keys, tokens and sealed values are never fields.
 */
import { writeSync } from "node:fs";
import pino from "pino";
import type { LogFormat, LogLevel } from "./log-level.ts";
import { escapeJson } from "./printable.ts";

/** Every field a log line can have (docs/operations.md explains them). */
export interface LogFields {
  readonly interface?: string;
  readonly peer?: string;
  readonly plugin?: string;
  readonly hook?: string;
  readonly family?: string;
  readonly server?: string;
  /** Own mapped addresses. */
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly endpoint?: string;
  readonly previous?: string;
  readonly mapping?: string;
  readonly reason?: string;
  readonly hint?: string;
  readonly code?: string;
  readonly err?: string;
  readonly ms?: number;
  readonly path?: string;
  readonly version?: string;
  readonly names?: readonly string[];
}

export interface Log {
  trace(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): Log;
}

interface LogOptions {
  readonly level: LogLevel;
  /** undefined: console on a terminal, else json. */
  readonly format?: LogFormat | undefined;
  /** File descriptor to write to. */
  readonly fd: 1 | 2;
}

/** Makes the program's logger. Never throws and never blocks the exit, also when the output is a closed pipe or a full disk. */
export async function createLog({ level, format, fd }: LogOptions): Promise<Log> {
  const isTerminal = (fd === 1 ? process.stdout : process.stderr).isTTY === true;
  const write = (line: string) => {
    try {
      // What others wrote is in it. Our own colours and the end of the line stay.
      writeSync(fd, escapeJson(line));
    } catch {
      // Nobody reads the log or the disk is full: losing the line is better than ending the daemon.
    }
  };
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if ((format ?? (isTerminal ? "console" : "json")) === "json") {
    const log: Log = pino(options, { write });
    return log;
  }
  const { prettyFactory } = await import("pino-pretty");
  const formatLine = prettyFactory({
    colorize: isTerminal,
    singleLine: true,
    // Else "err" is written as it is, on lines of its own: what a store says could then move the cursor, or look like a line of ours.
    errorLikeObjectKeys: [],
    translateTime: "SYS:HH:MM:ss.l",
  });
  const log: Log = pino(options, { write: (line: string) => write(formatLine(line)) });
  return log;
}
