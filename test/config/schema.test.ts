/** The schema against what people read: the example, and the table of docs/configuration.md. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as z from "zod";
import { parseDocument } from "../../src/config/document.ts";
import { fileSchema } from "../../src/config/schema.ts";
import { parse } from "./parse-text.ts";

interface JsonSchema {
  readonly default?: unknown;
  readonly description?: string;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly additionalProperties?: JsonSchema | boolean;
}

interface SchemaKey {
  /** "interfaces.<name>.protocol" */
  readonly key: string;
  readonly schema: JsonSchema;
}

/** Every key that has a value and no keys below it. */
function leafKeys(schema: JsonSchema, prefix: string): readonly SchemaKey[] {
  const { properties, additionalProperties } = schema;
  const below = Object.entries(properties ?? {}).flatMap(([key, inner]) =>
    leafKeys(inner, prefix === "" ? key : `${prefix}.${key}`),
  );
  const named = typeof additionalProperties === "object" ? leafKeys(additionalProperties, `${prefix}.<name>`) : [];
  const isOpenBlock = properties !== undefined;
  return isOpenBlock || named.length > 0 ? [...below, ...(isOpenBlock ? [] : named)] : [{ key: prefix, schema }];
}

const jsonSchema = z.toJSONSchema(fileSchema, { io: "input" }) as JsonSchema;
const keys = leafKeys(jsonSchema, "");
const example = readFileSync("config.example.yaml", "utf8");
const documentation = readFileSync("docs/configuration.md", "utf8");

test("the schema has a JSON schema in which every key has a description", () => {
  assert.ok(keys.length >= 31);
  for (const { key, schema } of keys) assert.ok(schema.description, key);
});

test("config.example.yaml is a valid configuration without warnings", async () => {
  const { config, warnings } = await parse(example, { readableByOthers: true });
  assert.deepEqual(warnings, []);
  assert.deepEqual(
    config.plugins.map(({ kind }) => kind),
    ["file", "exec", "shell"],
  );
  assert.equal(config.interfaces[0]?.peers[0]?.ping?.intervalMs, 5000);
});

test("config.example.yaml has every key of the schema", () => {
  const { root } = parseDocument(example, "config.example.yaml");
  for (const { key } of keys) assert.ok(hasKey(root, key.split(".")), key);
});

function hasKey(value: unknown, [step, ...rest]: readonly string[]): boolean {
  if (step === undefined) return true;
  if (typeof value !== "object" || value === null) return false;
  if (step === "<name>") return Object.values(value).some((entry) => hasKey(entry, rest));
  return Object.hasOwn(value, step) && hasKey(Reflect.get(value, step), rest);
}

test("docs/configuration.md has exactly the keys of the schema, with their defaults", () => {
  const rows = [...documentation.matchAll(/^\| `([a-z_.<>]+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$/gm)];
  assert.deepEqual(
    rows.map(([, key]) => key),
    keys.map(({ key }) => key),
  );
  for (const [index, [, key, , cell]] of rows.entries()) {
    const { default: value } = keys[index]?.schema ?? {};
    if (value === undefined) assert.doesNotMatch(cell ?? "", /^`[^`]*`$/, key);
    else assert.equal(cell, `\`${typeof value === "string" ? value : JSON.stringify(value)}\``, key);
  }
});

test("the YAML examples in docs/configuration.md are valid", async () => {
  const blocks = [...documentation.matchAll(/^```yaml\n(.*?)^```$/gms)];
  assert.ok(blocks.length >= 2);
  for (const [, text = ""] of blocks) assert.equal((await parse(text)).config.plugins.length, 1);
});

test("the errors shown in docs/configuration.md are what the program says", async () => {
  const text = `refresh_intervall: 5m
interfaces:
  wg0:
    protocol: ipv4
    peers:
      office:
        public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
        plugin: fil
plugins:
  file: { type: file, path: /srv }
`;
  await assert.rejects(parse(text, { path: "/etc/stunmesh/config.yaml" }), ({ message }: Error) =>
    documentation.includes(message.replaceAll(/^/gm, "    ")),
  );
});
