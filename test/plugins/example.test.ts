/** The plugins that config.example.yaml shows as comments, against the schemas of the plugins. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { parse } from "yaml";
import { plugins } from "../../src/plugins/index.ts";
import { repository } from "./fixtures.ts";

const example = readFileSync(join(repository, "config.example.yaml"), "utf8");
const commented = example.match(/^ {2}#(?! ).*(?:\n {2}# .*)*/gm) ?? [];
const commonKeys = new Set(["type", "dedup", "timeout", "concurrency"]);
/** In the place of `{ file: ... }` where not any text will do. */
const secrets: Readonly<Record<string, string>> = {
  ca: "-----BEGIN CERTIFICATE-----",
  key_secret: "c2VjcmV0",
};

for (const text of commented) {
  const block: Readonly<Record<string, Readonly<Record<string, unknown>>>> = parse(text.replaceAll(/^ {2}#/gm, ""));
  for (const [name, options] of Object.entries(block)) {
    test(`the plugin "${name}" in the comments of config.example.yaml is valid`, () => {
      const kind = String(options.type === "builtin" ? options.name : options.type);
      const own = Object.entries(options)
        .filter(([key]) => !commonKeys.has(key) && !(key === "name" && options.type === "builtin"))
        .map(([key, value]) => [key, isReference(value) ? (secrets[key] ?? "secret") : value]);
      const result = plugins[kind]?.schema.safeParse(Object.fromEntries(own));
      assert.deepEqual(result?.error?.issues ?? [], []);
      assert.ok(result?.success, `there is a plugin "${kind}"`);
    });
  }
}

test("config.example.yaml has plugins in its comments", () => {
  assert.ok(commented.length >= 3);
});

function isReference(value: unknown): boolean {
  return typeof value === "object" && value !== null && ["file", "env", "credential"].some((kind) => kind in value);
}
