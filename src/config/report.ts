/**
 * What is wrong with a configuration: collected while it is checked, so that a person sees everything at once, each with
 * its place in the file.
 *
 * Invariant: a text here never contains the value of a plugin's option, which may be a secret.
 */
import { type ErrorCode, StunmeshError } from "../errors.ts";

export interface Position {
  /** From 1. */
  readonly line: number;
  /** From 1, in characters. */
  readonly column: number;
}

export type ConfigPath = readonly (string | number)[];

/** Finds the place of a key, of its value, or (when the path does not exist) of the nearest block around it. */
export type Locate = (path: ConfigPath, part: "key" | "value") => Position;

/** Something in a configuration that works but is probably not meant. */
export interface ConfigWarning {
  /** For a person, with the place: "/etc/x.yaml:4:5: interfaces.wg0: no peers". */
  readonly text: string;
  readonly position: Position;
}

export interface Report {
  readonly warnings: readonly ConfigWarning[];
  /** Adds an error about the value at `path`. */
  error(path: ConfigPath, text: string, options?: { readonly part?: "key" | "value"; readonly code?: ErrorCode }): void;
  /** Adds an error about a key that means nothing; a warning when the report is lenient. */
  unknownKey(path: ConfigPath, text: string): void;
  warn(path: ConfigPath, text: string): void;
  /** Throws everything found so far as one StunmeshError, if there is an error among it. */
  throwErrors(): void;
}

interface ReportOptions {
  /** The name of the file, for messages. */
  readonly file: string;
  readonly locate: Locate;
  /** What cannot be seen about the key or value at a place, to be put behind a message. */
  readonly hintAt?: (position: Position) => string;
  /** Unknown keys are warnings. */
  readonly lenient: boolean;
}

/** Makes an empty report. */
export function createReport({ file, locate, hintAt = () => "", lenient }: ReportOptions): Report {
  const errors: FileError[] = [];
  const warnings: ConfigWarning[] = [];

  function addWarning(path: ConfigPath, text: string, part: "key" | "value") {
    const position = locate(path, part);
    warnings.push({ text: formatLine(file, position, `${withPath(path, text)}${hintAt(position)}`), position });
  }

  function addError(path: ConfigPath, text: string, { part, code }: { part: "key" | "value"; code: ErrorCode }) {
    const position = locate(path, part);
    errors.push({ position, text: `${withPath(path, text)}${hintAt(position)}`, code });
  }

  return {
    warnings,
    error(path, text, { part = "value", code = "CONFIG_INVALID" } = {}) {
      addError(path, text, { part, code });
    },
    unknownKey(path, text) {
      if (lenient) addWarning(path, text, "key");
      else addError(path, text, { part: "key", code: "CONFIG_INVALID" });
    },
    warn: (path, text) => addWarning(path, text, "key"),
    throwErrors() {
      if (errors.length > 0) throw configError(file, errors);
    },
  };
}

export interface FileError {
  readonly position: Position;
  readonly text: string;
  readonly code?: ErrorCode;
}

/** Enough for a person to work through; a file that is no configuration at all has an error per line. */
const MAX_ERRORS_SHOWN = 50;

/**
 * One error for all of `errors`, in the order of the file: a line that says how many, then one line for each. Its code
 * is CONFIG_INVALID, or that of the errors when they all have the same.
 */
export function configError(file: string, errors: readonly FileError[]): StunmeshError {
  const sorted = errors.toSorted((a, b) => a.position.line - b.position.line || a.position.column - b.position.column);
  const lines = [...new Set(sorted.map(({ position, text }) => formatLine(file, position, text)))];
  const shown = lines.slice(0, MAX_ERRORS_SHOWN);
  if (lines.length > shown.length) shown.push(`... and ${lines.length - shown.length} more`);
  const count = lines.length === 1 ? "1 error" : `${lines.length} errors`;
  const codes = new Set(errors.map(({ code = "CONFIG_INVALID" }) => code));
  const [code = "CONFIG_INVALID"] = codes.size === 1 ? codes : [];
  return new StunmeshError(code, `Cannot use the configuration ${JSON.stringify(file)}: ${count}\n${shown.join("\n")}`);
}

/** Formats a value for a message: quoted when it is text, never long, and harmless to a terminal. */
export function quoteValue(value: unknown): string {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string") return kindOf(value);
  const quoted = JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
  // JSON escapes the control characters below U+0020 only; a file can make the others with "\x9b". A blank that is not the
  // plain one looks like it, or like nothing.
  return quoted.replace(/(?! )[\p{C}\p{Z}]/gu, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`);
}

/** What kind of value this is, in words, without showing it. */
export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "a mapping";
  return typeof value === "string" ? "a text" : `a ${typeof value}`;
}

function formatLine(file: string, { line, column }: Position, text: string): string {
  return `${file}:${line}:${column}: ${text}`;
}

function withPath(path: ConfigPath, text: string): string {
  return path.length === 0 ? text : `${formatPath(path)}: ${text}`;
}

function formatPath(path: ConfigPath): string {
  let text = "";
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else text += (text === "" ? "" : ".") + (/^[\w-]+$/.test(part) ? part : quoteValue(part));
  }
  return text;
}
