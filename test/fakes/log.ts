/** A log that keeps its lines. */
import type { Log, LogFields } from "../../src/log.ts";

export interface LogLine extends LogFields {
  readonly level: "trace" | "debug" | "info" | "warn" | "error";
  readonly msg: string;
}

export interface FakeLog extends Log {
  readonly lines: LogLine[];
  /** Lines with this message, and at this level if one is given. */
  find(msg: string, level?: LogLine["level"]): readonly LogLine[];
}

export function createFakeLog(bound: LogFields = {}, lines: LogLine[] = []): FakeLog {
  const at = (level: LogLine["level"]) => (fields: LogFields, msg: string) => {
    lines.push({ ...bound, ...fields, level, msg });
  };
  return {
    lines,
    find: (msg, level) => lines.filter((line) => line.msg === msg && (!level || line.level === level)),
    trace: at("trace"),
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => createFakeLog({ ...bound, ...fields }, lines),
  };
}
