/** The tables of docs/operations.md against the source: log messages, log fields. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readLoggedMessages } from "./log-calls.ts";
import { chapter, codeRows, readText } from "./pages.ts";

const page = readText("docs/operations.md");
const logged = readLoggedMessages();

test("docs/operations.md has every message of info and above, at its level, and no other", () => {
  const written = codeRows(chapter(page, "Log messages")).map(([message, level]) => `${level}: ${message}`);
  const wanted = new Set(logged.map(({ message, level }) => `${level}: ${message}`));
  assert.deepEqual(written.toSorted(), [...wanted].toSorted());
});

test("log messages are found in all the ways they are written", () => {
  const messages = logged.map(({ message }) => message);
  for (const known of ["started", "discovered IPv6 endpoint", "publish works again", "interface removed"]) {
    assert.ok(messages.includes(known), known);
  }
});

test("docs/operations.md has exactly the fields of LogFields, in their order", () => {
  const [, body = ""] = /interface LogFields \{(.*?)\n\}/s.exec(readText("src/log.ts")) ?? [];
  const fields = [...body.matchAll(/readonly (\w+)\?:/g)].map(([, name]) => name);
  assert.ok(fields.length > 10);
  assert.deepEqual(
    codeRows(chapter(page, "Log fields")).map(([name]) => name),
    fields,
  );
});

test("README.md explains only messages that there are", () => {
  const rows = chapter(readText("README.md"), "When it does not work").split("\n");
  const cells = rows.flatMap((row) => (row.startsWith("| ") ? [row.split("|")[1] ?? ""] : []));
  const names = cells.flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name));
  const isMessage = (name: string) => !/^[A-Z_]+$/.test(name) && !name.startsWith("stunmesh-ts");
  const messages = new Set(logged.map(({ message }) => message));
  assert.deepEqual(
    names.filter((name) => isMessage(name) && !messages.has(name)),
    [],
  );
  assert.ok(names.some(isMessage));
});
