/**
 * Texts that YAML takes for something else. Where a text is wanted, what counts is what was written: the names 007, 0x1f,
 * 1e3 and true are four names, and their values as numbers or booleans would be others.
 */
import * as z from "zod";
import { isMapping } from "./document.ts";
import { durationPattern } from "./duration.ts";
import type { ConfigPath } from "./report.ts";
import { referenceKinds } from "./secrets.ts";

/** Finds how the number or the boolean at a path was written; undefined for everything else. */
export type TextAt = (path: ConfigPath) => string | undefined;

interface Place {
  readonly path: ConfigPath;
  readonly textAt: TextAt;
}

/** `value` with texts where `schema`, which has no wrappers, wants texts, itself or as items of a list. */
export function asWritten(value: unknown, schema: z.core.$ZodType, { path, textAt }: Place): unknown {
  // A hook: two forms, all of whose values are texts.
  if (schema instanceof z.ZodAny && typeof value === "object") return everyTextOf(value, { path, textAt });
  if (typeof value === "number" || typeof value === "boolean") {
    return wantsText(schema) ? (textAt(path) ?? value) : value;
  }
  if (!Array.isArray(value) || !(schema instanceof z.ZodArray)) return value;
  const item = unwrap(schema.element);
  return value.map((one: unknown, index) => asWritten(one, item, { path: [...path, index], textAt }));
}

/** `options` with the names in references to secrets as they were written: `{ file: 007 }` is the file "007". */
export function writtenReferences(options: unknown, { path, textAt }: Place): unknown {
  if (Array.isArray(options)) {
    return options.map((item: unknown, index) => writtenReferences(item, { path: [...path, index], textAt }));
  }
  if (!isMapping(options)) return options;
  const entries = Object.entries(options);
  const isReference = entries.length === 1 && referenceKinds.some((kind) => kind === entries[0]?.[0]);
  return Object.fromEntries(
    entries.map(([key, value]) => {
      const at = { path: [...path, key], textAt };
      return [key, isReference && typeof value !== "object" ? everyTextOf(value, at) : writtenReferences(value, at)];
    }),
  );
}

/** The schema that decides, behind wrappers such as defaults, preprocessing and transforms. */
export function unwrap(schema: z.core.$ZodType): z.core.$ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNullable ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodReadonly
  ) {
    return unwrap(schema.unwrap());
  }
  if (schema instanceof z.ZodPipe) return unwrap(schema.in instanceof z.ZodTransform ? schema.out : schema.in);
  return schema;
}

function everyTextOf(value: unknown, { path, textAt }: Place): unknown {
  if (typeof value === "number" || typeof value === "boolean") return textAt(path) ?? value;
  if (Array.isArray(value)) {
    return value.map((item: unknown, index) => everyTextOf(item, { path: [...path, index], textAt }));
  }
  if (!isMapping(value)) return value;
  return Object.fromEntries(
    // A duration says itself what is wrong with a number.
    Object.entries(value).map(([key, entry]) => [
      key,
      key === "timeout" ? entry : everyTextOf(entry, { path: [...path, key], textAt }),
    ]),
  );
}

/** One name, one item of a list of which one may stand alone, or one alternative. A duration is a text with a unit only. */
function wantsText(schema: z.core.$ZodType): boolean {
  if (schema instanceof z.ZodString) return schema.meta()?.pattern !== durationPattern;
  if (schema instanceof z.ZodArray) return wantsText(unwrap(schema.element));
  return schema instanceof z.ZodUnion && schema.options.some((option) => wantsText(unwrap(option)));
}
