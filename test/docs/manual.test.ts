/** The manual against the code: every command, option, exit status and signal, and no other. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { type CommandEntry, type OptionEntry, readCommandLine } from "../../src/cli/command-line.ts";
import { declareCommandLine } from "../../src/cli/index.ts";
import { errorKinds } from "../../src/errors.ts";
import { plugins } from "../../src/plugins/index.ts";
import { chapter, readText } from "./pages.ts";

const page = readText("packaging/man/stunmesh-ts.8");
const line = readCommandLine((target) => declareCommandLine(target, new AbortController().signal));

/** The part of the page from a heading to the next one. */
function section(heading: string): string {
  const found = page.split(/^(?=\.Sh )/m).find((part) => part.startsWith(`.Sh ${heading}\n`));
  assert.ok(found, heading);
  return found;
}

/** Heads of the list's items, with the lines of a head that needs several. */
function items(text: string): readonly string[] {
  return [...text.matchAll(/^\.It (?:Xo\n([\s\S]*?)\n\.Xc|(.*))$/gm)].map(([, several, one]) => several ?? one ?? "");
}

/** The words of a macro's line that are options, without their dashes: "Fl -json" and "Fl w" of "Fl -json Oc Oo Fl w". */
function flagsIn(head: string): readonly string[] {
  return [...head.matchAll(/\bFl -?([\w-]+)/g)].map(([, name = ""]) => name);
}

function spelled(options: readonly OptionEntry[]): readonly string[] {
  return options.flatMap(({ name, alias }) => (alias ? [alias, name] : [name])).toSorted();
}

const commandHeads = new Map(
  items(section("COMMANDS")).map((head) => [/Cm ((?:[a-z]+ ?)+)/.exec(head)?.[1]?.trim() ?? head, head]),
);

test("the manual has every command, and no other", () => {
  const names = line.commands.map(({ name }) => name);
  assert.deepEqual([...commandHeads.keys()].toSorted(), names.toSorted());
});

for (const { name, options, positionals } of line.commands) {
  test(`the manual has the options and arguments of ${name}`, () => {
    const head = commandHeads.get(name) ?? "";
    const flags = flagsIn(head);
    for (const { name: option, alias } of options) {
      assert.ok(flags.includes(option) || (alias && flags.includes(alias)), `--${option}`);
    }
    assert.equal(flags.length, options.length);
    for (const { isRepeated } of positionals) assert.match(head, isRepeated ? /Ar \w+ \.\.\./ : /Ar \w+/);
  });
}

test("the manual explains every option of every command, and no other", () => {
  const all = [...line.options, ...line.commands.flatMap((command: CommandEntry) => command.options)];
  const written = items(section("OPTIONS")).flatMap(flagsIn);
  assert.deepEqual(written.toSorted(), [...new Set(spelled(all))].toSorted());
});

test("the manual has the exit statuses of docs/operations.md, which has those of the code", () => {
  const listed = items(section("EXIT STATUS"));
  const documented = [...readText("docs/operations.md").matchAll(/^\| (\d+) \|/gm)].map(([, status]) => status);
  assert.deepEqual(listed, documented);
  for (const { exitCode } of Object.values(errorKinds)) assert.ok(listed.includes(String(exitCode)), `${exitCode}`);
});

test("the manual has the signals of docs/operations.md", () => {
  const documented = chapter(readText("docs/operations.md"), "Signals").match(/^\| SIG\w+(?:, SIG\w+)*/gm) ?? [];
  const names = (lines: readonly string[]) => lines.flatMap((text) => text.match(/SIG\w+/g) ?? []);
  assert.ok(documented.length >= 3);
  assert.deepEqual(names(items(section("SIGNALS"))), names(documented));
});

test("the manual names every store", () => {
  const options = section("OPTIONS");
  for (const kind of Object.keys(plugins)) assert.match(options, new RegExp(`(?:\\.Cm|,) ${kind}(?: |$)`, "m"), kind);
});

test("the manual is of this page's kind: dated, in the right section, plain ASCII", () => {
  assert.match(page, /^\.Dd [A-Z][a-z]+ \d{1,2}, \d{4}$/m);
  assert.match(page, /^\.Dt STUNMESH-TS 8$/m);
  assert.match(page, /^[\x20-\x7e\n]*$/);
});
