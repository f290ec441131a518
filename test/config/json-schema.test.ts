/** The JSON Schema against a validator, the files in the documentation, and what the program itself says. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Ajv2020 } from "ajv/dist/2020.js";
import { schemaText } from "../../src/cli/schema.ts";
import { MAX_CONFIG_BYTES, parseDocument } from "../../src/config/document.ts";
import { plugins } from "../../src/plugins/index.ts";
import { codeBlocks, pagePaths, readText } from "../docs/pages.ts";

const SCHEMA_PATH = "docs/config.schema.json";

const schema = JSON.parse(schemaText());
const ajv = new Ajv2020({
  allErrors: true,
  strict: true,
  strictTypes: false,
  strictRequired: false,
  allowUnionTypes: true,
});
const validate = ajv.compile(schema);

/** Where and why `text` does not fit, or nothing. */
function problemsOf(text: string): readonly string[] {
  const { root } = parseDocument(text, "config.yaml");
  return validate(root) ? [] : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
}

/** A file around one peer and one plugin. */
const file = (peer: string, plugin: string, rest = "") => `${rest}
interfaces:
  wg0:
    peers:
      office: { public_key: "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="${peer} }
plugins:
  own: { ${plugin} }
`;

test(`${SCHEMA_PATH} is what "stunmesh-ts schema" prints`, () => {
  assert.ok(readFileSync(SCHEMA_PATH, "utf8") === schemaText(), `npm run schema writes ${SCHEMA_PATH} anew`);
  assert.ok(schemaText().length < MAX_CONFIG_BYTES);
});

test("the schema is one: its meta-schema says so, and it is of draft 2020-12", () => {
  assert.equal(schema.$schema, "https://json-schema.org/draft/2020-12/schema");
  assert.equal(ajv.validateSchema(schema), true);
});

test("config.example.yaml fits, with every plugin in it that is commented out", () => {
  const example = readText("config.example.yaml");
  assert.deepEqual(problemsOf(example), []);
  const [before = "", block = ""] = example.split(/^plugins:\n/m);
  // "#" is in front of a key, two blanks further of a key below; other comments are text.
  const active = block.replaceAll(/^ {2}#(?=\S| {2}\S)/gm, "  ");
  const all = `${before}plugins:\n${active}`;
  const { root } = parseDocument(all, "config.yaml");
  const kinds = Object.values(root.plugins as Record<string, { type: string; name?: string }>).map(
    ({ type, name }) => name ?? type,
  );
  assert.deepEqual([...new Set(kinds)].toSorted(), Object.keys(plugins).toSorted());
  assert.deepEqual(problemsOf(all), []);
});

for (const path of pagePaths()) {
  for (const [index, text] of codeBlocks(readText(path), "yaml").entries()) {
    test(`configuration ${index + 1} of ${path} fits`, () => assert.deepEqual(problemsOf(text), []));
  }
}

const good: Readonly<Record<string, string>> = {
  "a list of plugins": file(", plugin: [own]", "type: file, path: /srv"),
  "one plugin by its name": file(", plugin: own", "type: file, path: /srv"),
  "a builtin": file("", "type: builtin, name: file, path: /srv"),
  "a reference for a text": file("", "type: http, url: { env: URL }, token: { file: token }"),
  "a reference among arguments": file("", "type: exec, command: /bin/x, args: [-token, { credential: token }]"),
  "keys of a module of one's own": file("", "type: module, path: x.mjs, whatever: [1, { two: 3 }]"),
  durations: file("", "type: file, path: /srv, timeout: 1m30s", "refresh_interval: 1.5h"),
  "a ping": file(", ping: { enabled: true, target: 10.0.0.1 }", "type: file, path: /srv"),
};
for (const [what, text] of Object.entries(good)) {
  test(`${what} fits`, () => assert.deepEqual(problemsOf(text), []));
}

const bad: Readonly<Record<string, string>> = {
  "an unknown key": file("", "type: file, path: /srv", "refresh_intervall: 10m"),
  "an unknown key of a peer": file(", plugins: own", "type: file, path: /srv"),
  "an unknown option of a plugin": file("", "type: file, path: /srv, pathh: /srv"),
  "an option of another plugin": file("", "type: file, path: /srv, url: https://example.org"),
  "a plugin without its option": file("", "type: file"),
  "a plugin without a type": file("", "path: /srv"),
  "an unknown type": file("", "type: fil, path: /srv"),
  "a builtin without a name": file("", "type: builtin, path: /srv"),
  "exec as a builtin": file("", "type: builtin, name: exec, command: /bin/x"),
  "a duration without a unit": file("", "type: file, path: /srv", "refresh_interval: 60"),
  "a duration of days": file("", "type: file, path: /srv", "refresh_interval: 1d"),
  "a word that is none of the list": file(", protocol: ipv5", "type: file, path: /srv"),
  "a key that is too short": file("", "type: file, path: /srv").replace("xTIBA5", "xTI"),
  "a peer without a key": file("", "type: file, path: /srv").replace(/public_key: "[^"]*"/, "description: x"),
  "a ping without a target": file(", ping: { enabled: true }", "type: file, path: /srv"),
  "a name of an interface that is too long": file("", "type: file, path: /srv").replace("wg0", "wireguard-number-0"),
  "two words in a reference": file("", "type: http, url: https://x.org, token: { env: A, file: b }"),
  "a reference for a number": file("", "type: file, path: /srv, concurrency: { env: N }"),
  "too many calls at once": file("", "type: file, path: /srv, concurrency: 100000"),
};
for (const [what, text] of Object.entries(bad)) {
  test(`${what} does not fit`, () => assert.notDeepEqual(problemsOf(text), []));
}

test("every plugin, every option and every key of the file has a description", () => {
  const bare: string[] = [];
  function look(part: unknown, path: string): void {
    if (typeof part !== "object" || part === null) return;
    const { properties, additionalProperties, oneOf } = part as Record<string, unknown>;
    for (const [key, value] of Object.entries(properties ?? {})) {
      const { description, properties: inner, type } = value as Record<string, unknown>;
      // Blocks speak for themselves; `type` of the union only tells branches apart.
      if (description === undefined && inner === undefined && type !== "object" && key !== "type")
        bare.push(`${path}.${key}`);
      look(value, `${path}.${key}`);
    }
    look(additionalProperties, `${path}.*`);
    for (const [index, branch] of Object.entries(oneOf ?? {})) look(branch, `${path}|${index}`);
  }
  look(schema, "");
  assert.deepEqual(bare, []);
  const branches = schema.properties.plugins.additionalProperties.oneOf.map(({ title }: { title: string }) => title);
  for (const kind of Object.keys(plugins)) assert.ok(branches.includes(kind), kind);
});
