/** Lines of the log in docs/troubleshooting.md are lines that the program writes: message, level, fields, codes, words. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { errorKinds } from "../../src/errors.ts";
import { chapter, codeBlocks, codeRows, filesUnder, readText } from "./pages.ts";

const page = readText("docs/troubleshooting.md");
const operations = readText("docs/operations.md");
const levels = new Map(codeRows(chapter(operations, "Log messages")).map(([message, level]) => [message, level]));
const fieldNames = codeRows(chapter(operations, "Log fields")).map(([name]) => name);

const source = filesUnder("src")
  .filter((path) => path.endsWith(".ts"))
  .map(readText)
  .join("\n")
  // Messages are put together from parts, some with quotes in them.
  .replace(/["'`] \+\s*["'`]/g, "")
  .replaceAll('\\"', '"');

const lines = codeBlocks(page, "log").flatMap((block) => block.trimEnd().split("\n"));
const logged = lines.flatMap((line) => {
  const [, level, message, fields] = /^([A-Z]+): (.*?) (\{.*\})$/.exec(line) ?? [];
  return level && message && fields ? [{ line, level: level.toLowerCase(), message, fields: JSON.parse(fields) }] : [];
});
const ends = lines.filter((line) => line.startsWith("stunmesh-ts: "));

test("docs/troubleshooting.md shows lines of the log, and last words", () => {
  assert.ok(logged.length >= 20 && ends.length >= 3);
  assert.equal(logged.length + ends.length, lines.length, "each line is one or the other");
});

test("each line has a message of docs/operations.md at its level, with fields and codes that there are", () => {
  for (const { line, level, message, fields } of logged) {
    assert.equal(level, levels.get(message), line);
    for (const name of Object.keys(fields)) assert.ok(fieldNames.includes(name), `${name} in ${line}`);
    if (fields.code !== undefined) assert.ok(Object.hasOwn(errorKinds, fields.code), line);
  }
});

test("what a line quotes is said by the program", () => {
  const words = [
    ...logged.flatMap(({ fields }) => [fields.err, fields.hint].filter((text) => text !== undefined)),
    ...ends.map((line) => line.replace("stunmesh-ts: ", "")),
  ];
  // What a message is put together from: actions, names, numbers.
  const parts = words.flatMap((text: string) => text.split(/\.\.\.|Cannot |"wg0"|process 531|CAP_NET_RAW|EPERM|429/));
  const quoted = parts.map((part) => part.replace(/^[\s:"]+|[\s:"]+$/g, "")).filter((part) => part.length > 3);
  assert.ok(quoted.length >= 15);
  for (const part of quoted) assert.ok(source.includes(part), part);
});
