/** Reading the documentation in tests: pages, tables, code blocks, headings. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../fixtures/path.ts";

/** Paths of all Markdown files of the project, relative to the repository. */
export function pagePaths(): readonly string[] {
  const top = readdirSync(repositoryRoot).filter((name) => name.endsWith(".md"));
  return [...top, ...filesUnder("docs").filter((path) => path.endsWith(".md"))];
}

/** Paths of all files in a folder of the repository, relative to the repository. */
export function filesUnder(folder: string): readonly string[] {
  return readdirSync(join(repositoryRoot, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(repositoryRoot.length + 1));
}

/** Text of a file of the repository. */
export function readText(path: string): string {
  return readFileSync(join(repositoryRoot, path), "utf8");
}

/** The lines of the script that is marked as `<!-- commands: NAME -->`. */
export function markedCommands(page: string, name: string): readonly string[] {
  const [, rest = ""] = page.split(`<!-- commands: ${name} -->\n`);
  const [script = ""] = codeBlocks(rest, "sh");
  return script.split("\n").filter((line) => line !== "");
}

/** The part of a page from a heading of level 2 to the next one. */
export function chapter(page: string, heading: string): string {
  const found = page.split(/^(?=## )/m).find((part) => part.startsWith(`## ${heading}\n`));
  assert.ok(found, `there is a chapter "${heading}"`);
  return found;
}

/** Cells of the table rows whose first cell is one code span, which is given without its quotes. */
export function codeRows(text: string): readonly (readonly string[])[] {
  return text.split("\n").flatMap((line) => {
    const cells = line.split("|").map((cell) => cell.trim());
    const name = /^`([^`]+)`$/.exec(cells[1] ?? "")?.[1];
    return cells[0] === "" && name !== undefined ? [[name, ...cells.slice(2, -1)]] : [];
  });
}

/** A page without code blocks and comments. */
export function proseOf(page: string): string {
  return page
    .replace(/^( *)```.*?^\1```$/gms, "")
    .replace(/^ {4}.*$/gm, "")
    .replace(/<!--.*?-->/gs, "");
}

/** Fenced code blocks of a language, without the indent of a list they may be in. */
export function codeBlocks(page: string, language: string): readonly string[] {
  return [...page.matchAll(/^( *)```(\w*)\n(.*?)^\1```$/gms)].flatMap(([, indent = "", name, body = ""]) =>
    name === language ? [body.replaceAll(new RegExp(`^${indent}`, "gm"), "")] : [],
  );
}
