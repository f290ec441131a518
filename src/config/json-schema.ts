/**
 * The configuration file as a JSON Schema, for editors and for checks outside this program.
 *
 * It describes the strict forms: what it accepts the program accepts, but not the other way round (existing files may have
 * `yes` for true, or keys in another case). What no schema can say is left to `stunmesh-ts check`: whether a plugin that
 * is named exists, for example.
 * Spec: JSON Schema draft 2020-12, https://json-schema.org/draft/2020-12
 */
import * as z from "zod";
import { ONE_OR_MORE } from "./fields.ts";
import { commandKinds, type PluginSchemas } from "./plugin-options.ts";
import { fileSchema, pluginBlock } from "./schema.ts";
import { referenceKinds } from "./secrets.ts";

/** A schema, or a part of one. */
export type JsonSchema = Readonly<Record<string, unknown>>;

const SECRET = "#/$defs/reference";

const meanings: Readonly<Record<(typeof referenceKinds)[number], string>> = {
  env: "Name of an environment variable",
  file: "File that holds it; a relative path begins at the folder of the configuration",
  credential: "Name of a credential of systemd, from LoadCredential=",
};

/** A text that stands elsewhere: exactly one of the three. */
const reference: JsonSchema = {
  description: "A text that is read from elsewhere, such as { env: STORE_TOKEN }",
  type: "object",
  properties: Object.fromEntries(
    referenceKinds.map((kind) => [kind, { description: meanings[kind], type: "string", minLength: 1 }]),
  ),
  minProperties: 1,
  maxProperties: 1,
  additionalProperties: false,
};

/** The schema of the whole file; `pluginSchemas` are the backends by kind. */
export function createJsonSchema(pluginSchemas: PluginSchemas): JsonSchema {
  const { $schema, ...file } = toJson(fileSchema);
  const properties = file.properties as Readonly<Record<string, JsonSchema>>;
  const plugins = { ...properties.plugins, additionalProperties: pluginUnion(pluginSchemas) };
  return {
    $schema,
    title: "Configuration of stunmesh-ts",
    ...file,
    properties: { ...properties, plugins },
    $defs: { reference },
  };
}

/** The options of one kind of plugin, without the keys that every plugin has, and without references. */
export function pluginJsonSchema(schema: z.ZodType): JsonSchema {
  return toJson(schema);
}

/** One branch for each kind, told apart by `type`, or by `type: builtin` and `name`. */
function pluginUnion(pluginSchemas: PluginSchemas): JsonSchema {
  const kinds = Object.keys(pluginSchemas);
  const branches = Object.entries(pluginSchemas).flatMap(([kind, schema]) => {
    const { $schema, properties, required, ...rest } = toJson(schema);
    const own = withReferences(properties ?? {}) as JsonSchema;
    const { type, name, ...shared } = toJson(pluginBlock).properties as Readonly<Record<string, JsonSchema>>;
    const needed = Array.isArray(required) ? required : [];
    const plain = { ...rest, properties: { type: { ...type, const: kind }, ...own, ...shared } };
    const builtin = { type: { ...type, const: "builtin" }, name: { ...name, const: kind } };
    const isBuiltin = !commandKinds.has(kind);
    return [
      { title: kind, ...plain, required: ["type", ...needed] },
      ...(isBuiltin
        ? [
            {
              title: `${kind} (builtin)`,
              ...rest,
              properties: { ...builtin, ...own, ...shared },
              required: ["type", "name", ...needed],
            },
          ]
        : []),
    ];
  });
  const type = { enum: [...kinds, "builtin"] };
  return { type: "object", properties: { type }, required: ["type"], oneOf: branches };
}

function toJson(schema: z.ZodType): JsonSchema {
  const converted = z.toJSONSchema(schema, {
    io: "input",
    override({ jsonSchema }) {
      if (!Object.hasOwn(jsonSchema, ONE_OR_MORE)) return;
      const { type, items, ...rest } = jsonSchema;
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
      Reflect.deleteProperty(rest, ONE_OR_MORE);
      Object.assign(jsonSchema, rest, { anyOf: [items, { type, items }] });
    },
  });
  return converted as JsonSchema;
}

/** The same schemas of options, in which every text may be a reference. */
function withReferences(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withReferences);
  if (typeof value !== "object" || value === null) return value;
  const schema = value as JsonSchema;
  const types: readonly unknown[] = [schema.type].flat();
  if (types.includes("string")) {
    const { description, default: preset, ...rest } = schema;
    const shown = {
      ...(description !== undefined && { description }),
      ...(preset !== undefined && { default: preset }),
    };
    return { ...shown, anyOf: [rest, { $ref: SECRET }] };
  }
  return Object.fromEntries(Object.entries(schema).map(([key, inner]) => [key, withReferences(inner)]));
}
