/**
 * Keys, before a schema sees the values: those of the program are found in any case and get their exact spelling, an
 * explicit null means "not given", and a key that means nothing is reported with the nearest one that does.
 *
 * Names of interfaces, peers and plugins are the user's own: they stay as they are.
 */
import * as z from "zod";
import { asWritten, type TextAt, unwrap } from "./as-written.ts";
import { isMapping } from "./document.ts";
import { type ConfigPath, quoteValue, type Report } from "./report.ts";
import { suggestSpelling } from "./spelling.ts";

interface KeyContext {
  readonly path: ConfigPath;
  readonly report: Report;
  readonly textAt: TextAt;
  /** Keys that belong here but were taken out before: only to be suggested. */
  readonly alsoKnown?: readonly string[];
}

/**
 * A copy of `value` with exactly the keys that `schema` knows, and with texts where texts are wanted. Follows objects and
 * records, also behind defaults and transforms; other kinds of schema (unions, lists) get their value as it was written.
 */
export function cleanKeys(value: unknown, schema: z.core.$ZodType, at: KeyContext): unknown {
  const target = unwrap(schema);
  if (!isMapping(value)) return asWritten(value, target, at);
  if (target instanceof z.ZodObject) return cleanObject(value, target, at);
  if (!(target instanceof z.ZodRecord)) return asWritten(value, target, at);
  const { valueType } = target;
  const takesMapping = unwrap(valueType) instanceof z.ZodObject;
  const cleaned: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(value)) {
    const given = entry === null && takesMapping ? {} : entry;
    cleaned[name] = cleanKeys(given, valueType, { ...at, path: [...at.path, name] });
  }
  return cleaned;
}

function cleanObject(
  value: Readonly<Record<string, unknown>>,
  schema: z.ZodObject,
  { path, report, textAt, alsoKnown = [] }: KeyContext,
): Record<string, unknown> {
  const { shape } = schema;
  const known = Object.keys(shape);
  const isOpen = schema.def.catchall !== undefined && !(schema.def.catchall instanceof z.ZodNever);
  const cleaned: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(value)) {
    const keyPath = [...path, key];
    const name = Object.hasOwn(shape, key) ? key : known.find((word) => word.toLowerCase() === key.toLowerCase());
    if (name === undefined) {
      if (isOpen) cleaned[key] = entry;
      else report.unknownKey(keyPath, explainUnknownKey(key, [...known, ...alsoKnown]));
    } else if (Object.hasOwn(cleaned, name) || (name !== key && Object.hasOwn(value, name))) {
      report.error(keyPath, `given twice: "${name}" is also there in another spelling`, { part: "key" });
    } else if (entry !== null) {
      const inner = shape[name];
      cleaned[name] = inner ? cleanKeys(entry, inner, { path: keyPath, report, textAt }) : entry;
    }
  }
  return cleaned;
}

/** The text of an unknown key: the nearest of `known`, or all of them. */
export function explainUnknownKey(key: string, known: readonly string[]): string {
  const suggestion = suggestSpelling(key, known);
  const shown = quoteValue(key);
  if (suggestion !== undefined) return `unknown key ${shown}: did you mean "${suggestion}"?`;
  return `unknown key ${shown}${known.length === 0 ? "" : `: known here: ${known.join(", ")}`}`;
}
