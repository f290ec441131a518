/** What the documentation points at is there: files, anchors, scripts, commands, options, codes, hints. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { readCommandLine } from "../../src/cli/command-line.ts";
import { declareCommandLine } from "../../src/cli/index.ts";
import { errorKinds } from "../../src/errors.ts";
import { plugins } from "../../src/plugins/index.ts";
import { repositoryRoot } from "../fixtures/path.ts";
import { chapter, filesUnder, pagePaths, proseOf, readText } from "./pages.ts";

const pages = pagePaths();
const { scripts } = JSON.parse(readText("package.json")) as { readonly scripts: Readonly<Record<string, string>> };
const commandLine = readCommandLine((target) => declareCommandLine(target, new AbortController().signal));
const optionNames = [...commandLine.options, ...commandLine.commands.flatMap(({ options }) => options)].map(
  ({ name }) => `--${name}`,
);

for (const path of pages) {
  test(`links of ${path} lead somewhere`, () => {
    const prose = proseOf(readText(path));
    for (const [, target = ""] of prose.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^[a-z]+:/.test(target)) continue;
      const [file = "", anchor] = target.split("#");
      const linked = file === "" ? path : join(dirname(path), file);
      assert.ok(existsSync(join(repositoryRoot, linked)), `${target} is a file`);
      if (anchor === undefined) continue;
      assert.ok(anchorsOf(readText(linked)).has(anchor), `${target} is a heading there`);
    }
  });

  test(`files, npm scripts and error codes that ${path} names exist`, () => {
    const page = readText(path);
    for (const [, name = ""] of page.matchAll(/`((?:src|test|docs|bench)\/[\w./-]*\w\/?)`/g)) {
      assert.ok(existsSync(join(repositoryRoot, name)), `${name} exists`);
    }
    for (const [, name = ""] of page.matchAll(/npm run (?:--silent )?([a-z][\w:-]*)/g)) {
      assert.ok(Object.hasOwn(scripts, name), `npm run ${name}`);
    }
    for (const [, code = ""] of page.matchAll(
      /`((?:CONFIG|SECRET|PLATFORM|WG|STUN|STORE|RECORD|STATE|KEY)_[A-Z_]+)`/g,
    )) {
      assert.ok(Object.hasOwn(errorKinds, code), `code ${code}`);
    }
  });
}

test("README.md has every command of the command line, and no other", () => {
  const declared = commandLine.commands.map(({ name }) => name);
  const rows = [...readText("README.md").matchAll(/^\| `stunmesh-ts ([^`]*)`/gm)].map(([, text = ""]) => text);
  const written = rows.map((text) => declared.find((name) => text === name || text.startsWith(`${name} `)) ?? text);
  assert.ok(declared.length >= 4);
  assert.deepEqual(written.toSorted(), declared.toSorted());
});

test("README.md names every store", () => {
  const status = chapter(readText("README.md"), "Status");
  for (const name of Object.keys(plugins)) assert.ok(status.includes(`\`${name}\``), name);
});

test("README.md has every option of the command line, and no other", () => {
  const rows = chapter(readText("README.md"), "Commands and options")
    .split("\n")
    .filter((line) => line.startsWith("| `-"));
  const written = rows.flatMap((line) => line.split("|")[1]?.match(/--[a-z-]+/g) ?? []);
  assert.deepEqual([...new Set(written)].toSorted(), [...new Set(optionNames)].toSorted());
});

test("options after stunmesh-ts in any page exist", () => {
  for (const path of pages) {
    for (const [, rest = ""] of readText(path).matchAll(/stunmesh-ts(?:\.js)?((?: [\w/.-]+)*)/g)) {
      for (const option of rest.match(/(?<= )--[a-z-]+/g) ?? []) {
        assert.ok(optionNames.includes(option), `${path}: ${option}`);
      }
    }
  }
});

test("hints that README.md quotes are said by the program", () => {
  const source = filesUnder("src")
    .filter((path) => path.endsWith(".ts"))
    .map(readText)
    .join("\n")
    .replace(/["`] \+\s*["`]/g, "");
  const quoted = [...chapter(readText("README.md"), "When it does not work").matchAll(/hint "([^"]+)"/g)];
  assert.ok(quoted.length >= 5);
  for (const [, hint = ""] of quoted) {
    for (const part of hint.split("...").filter((text) => text.trim() !== "")) {
      assert.ok(source.includes(part.trim()), `hint "${part.trim()}"`);
    }
  }
});

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): ReadonlySet<string> {
  const text = page.replace(/^( *)```.*?^\1```$/gms, "");
  const headings = [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, "")
      .replaceAll(" ", "-"),
  );
  return new Set(headings);
}
