/**
 * The `plugins` block: which backend an instance is, and its options, checked by that backend's own schema.
 *
 * Works on the block as it was written (after its keys were cleaned), so that a mistake elsewhere in the file does not
 * hide the ones here.
 */
import type * as z from "zod";
import { StunmeshError } from "../errors.ts";
import { type TextAt, writtenReferences } from "./as-written.ts";
import { isMapping } from "./document.ts";
import { reportIssues } from "./issues.ts";
import { cleanKeys } from "./keys.ts";
import { findLiteralSecrets, type LiteralSecret } from "./literal-secrets.ts";
import type { ConfigPath, Report } from "./report.ts";
import { quoteValue } from "./report.ts";
import { pluginBlock } from "./schema.ts";
import { type ResolveSecret, resolveSecrets } from "./secrets.ts";
import { suggestSpelling } from "./spelling.ts";

/** The table of backends by kind: `exec`, `shell`, `file`, ... */
export type PluginSchemas = Readonly<Record<string, z.ZodType>>;

export interface PluginChoice {
  readonly kind: string;
  /** Output of the backend's schema. */
  readonly options: unknown;
}

interface PluginContext {
  readonly pluginSchemas: PluginSchemas;
  readonly resolveSecret: ResolveSecret;
  readonly report: Report;
  readonly textAt: TextAt;
}

interface PluginOptions {
  /** By name of the instance; those that have no errors. */
  readonly choices: ReadonlyMap<string, PluginChoice>;
  readonly literalSecrets: readonly LiteralSecret[];
}

const commonKeys = new Set(Object.keys(pluginBlock.shape));

/** Not builtins: written as `type: exec`, never as `name: exec`. */
export const commandKinds: ReadonlySet<string> = new Set(["exec", "shell"]);

/** Checks every block of `plugins`; errors go to the report. */
export async function readPluginOptions(plugins: unknown, context: PluginContext): Promise<PluginOptions> {
  const choices = new Map<string, PluginChoice>();
  const literalSecrets: LiteralSecret[] = [];
  for (const [name, block] of isMapping(plugins) ? Object.entries(plugins) : []) {
    if (!isMapping(block)) continue;
    const path = ["plugins", name];
    const own = Object.fromEntries(
      Object.entries(block)
        .filter(([key]) => !commonKeys.has(key))
        .map(([key, value]) => [key, writtenReferences(value, { path: [...path, key], textAt: context.textAt })]),
    );
    for (const literal of findLiteralSecrets(own, path)) literalSecrets.push(literal);
    const kind = selectKind(block, { ...context, path });
    if (kind === undefined) continue;
    const options = await readOptions(own, { ...context, kind, path });
    if (options) choices.set(name, { kind, options: options.value });
  }
  return { choices, literalSecrets };
}

/** The kind that `type` (and `name`, of a builtin) means; undefined when it was reported as an error. */
function selectKind(
  block: Readonly<Record<string, unknown>>,
  { pluginSchemas, report, path }: PluginContext & { readonly path: ConfigPath },
): string | undefined {
  const { type, name } = block;
  const kinds = Object.keys(pluginSchemas);
  if (type === undefined) {
    report.error([...path, "type"], `missing: one of ${[...kinds, "builtin"].join(", ")} wanted`);
    return undefined;
  }
  if (type !== "builtin") {
    if (name !== undefined) report.unknownKey([...path, "name"], 'unknown key "name": it goes with type: builtin');
    return checkKind(type, { known: kinds, path: [...path, "type"], report });
  }
  const builtins = kinds.filter((kind) => !commandKinds.has(kind));
  if (name === undefined) {
    report.error([...path, "name"], `missing: one of ${builtins.join(", ")} wanted`);
    return undefined;
  }
  return checkKind(name, { known: builtins, path: [...path, "name"], report });
}

function checkKind(
  kind: unknown,
  { known, path, report }: { readonly known: readonly string[]; readonly path: ConfigPath; readonly report: Report },
): string | undefined {
  if (typeof kind === "string" && known.includes(kind)) return kind;
  if (typeof kind !== "string" && typeof kind !== "number") return undefined; // The schema says that.
  const suggestion = suggestSpelling(String(kind), known);
  const hint = suggestion === undefined ? "" : ` did you mean "${suggestion}"?`;
  report.error(path, `${quoteValue(kind)} is not a type of plugin:${hint} possible: ${known.join(", ")}`);
  return undefined;
}

async function readOptions(
  own: Readonly<Record<string, unknown>>,
  context: PluginContext & {
    readonly kind: string;
    readonly path: ConfigPath;
  },
): Promise<{ readonly value: unknown } | undefined> {
  const { pluginSchemas, resolveSecret, report, textAt, kind, path } = context;
  const schema = pluginSchemas[kind];
  if (!schema) return undefined;
  let isComplete = true;
  const options = await resolveSecrets(own, {
    path,
    resolveSecret,
    onError(secretPath, error) {
      isComplete = false;
      const message = error instanceof Error ? error.message : String(error);
      report.error(secretPath, message, { code: error instanceof StunmeshError ? error.code : "SECRET_UNREADABLE" });
    },
  });
  const cleaned = cleanKeys(options, schema, { path, report, textAt, alsoKnown: [...commonKeys] });
  const result = schema.safeParse(cleaned);
  if (result.success) return { value: result.data };
  // An option whose secret could not be read is an empty text here: what its schema says about that helps nobody.
  if (!isComplete) return undefined;
  reportIssues(result.error.issues, { report, base: path, value: cleaned });
  return undefined;
}
