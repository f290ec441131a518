/**
 * What the source logs: the constant messages of `info` and above, found in the text. A message is the last argument of
 * a call of the log, or the `message` of a lasting failure (src/failures.ts), which warns when it begins and informs
 * when it ends.
 */
import assert from "node:assert/strict";
import { filesUnder, readText } from "./pages.ts";

export interface LoggedMessage {
  readonly level: string;
  readonly message: string;
  readonly path: string;
}

/** The one file that logs messages which it is given. */
const PASSES_ON = "src/failures.ts";

/** All messages in `src`. Fails when a message is not constant and cannot be found out. */
export function readLoggedMessages(): readonly LoggedMessage[] {
  return filesUnder("src")
    .filter((path) => path.endsWith(".ts") && path !== PASSES_ON)
    .flatMap((path) => readMessages(readText(path), path));
}

function readMessages(source: string, path: string): readonly LoggedMessage[] {
  const direct = callsOf(source, /\blog\??\.(info|warn|error|fatal)\(/g).flatMap(({ word: level, args }) => {
    const last = splitArguments(args).at(-1) ?? "";
    return literalsOf(last, { source, path }).map((message) => ({ level, message, path }));
  });
  const lasting = callsOf(source, /\bfailures\.(failed|ended)\(/g).flatMap(({ word, args }) => {
    const [, text = ""] = /\bmessage: ("[^"]*"|`[^`]*`)/.exec(args) ?? [];
    assert.notEqual(text, "", `${path}: a failure has a constant message: ${args}`);
    const level = word === "failed" ? "warn" : "info";
    return literalsOf(text, { source, path }).map((message) => ({ level, message, path }));
  });
  return [...direct, ...lasting];
}

/** The texts an expression can be: the literals in it, or those of a constant of this file. */
function literalsOf(
  expression: string,
  { source, path }: { readonly source: string; readonly path: string },
): readonly string[] {
  const [, name] = /^(\w+)$/.exec(expression.trim()) ?? [];
  const [, constant] = name === undefined ? [] : (new RegExp(`const ${name} =\\s*([^;]*);`).exec(source) ?? []);
  // The condition of a choice may hold text as well: "ipv4".
  const texts = (constant ?? expression).replace(/^.*?\? (?=["`])/s, "");
  const found = [...texts.matchAll(/"([^"]*)"|`([^`]*)`/g)].map(([, quoted, template]) => quoted ?? template ?? "");
  assert.ok(found.length > 0, `${path}: a message is constant: ${expression}`);
  return found.flatMap((text) => fillIn(text, { source, path }));
}

/** What a template with one name in it can become, when a property of that name is one of a few texts in this file. */
function fillIn(text: string, { source, path }: { readonly source: string; readonly path: string }): readonly string[] {
  const hole = /\$\{(\w+)\}/.exec(text);
  if (!hole) return [text];
  const values = [...source.matchAll(new RegExp(`\\b${hole[1]}: ((?:"\\w+"(?: \\| )?)+)`, "g"))];
  const words = values.flatMap(([, union = ""]) => union.match(/\w+/g) ?? []);
  assert.ok(words.length > 0, `${path}: what "${text}" can be is known`);
  return [...new Set(words)].map((word) => text.replace(hole[0], word));
}

function callsOf(source: string, opening: RegExp): readonly { readonly word: string; readonly args: string }[] {
  return [...source.matchAll(opening)].map((match) => ({
    word: match[1] ?? "",
    args: untilClosed(source.slice(match.index + match[0].length)),
  }));
}

/** The text up to the parenthesis that closes the one before it. */
function untilClosed(text: string): string {
  return scan(text, (depth, character) => depth === 0 && character === ")")[0] ?? "";
}

function splitArguments(args: string): readonly string[] {
  return scan(args, (depth, character) => depth === 0 && character === ",").filter((part) => part.trim() !== "");
}

/** Splits where `isCut` says so, outside of literals. */
function scan(text: string, isCut: (depth: number, character: string) => boolean): readonly string[] {
  const parts: string[] = [];
  let depth = 0;
  let start = 0;
  let quote = "";
  for (let index = 0; index < text.length; index++) {
    const character = text[index] ?? "";
    if (quote !== "") {
      if (character === quote) quote = "";
    } else if (`"'\``.includes(character)) {
      quote = character;
    } else if (isCut(depth, character)) {
      parts.push(text.slice(start, index));
      start = index + 1;
    } else if ("([{".includes(character)) {
      depth++;
    } else if (")]}".includes(character)) {
      depth--;
    }
  }
  return [...parts, text.slice(start)];
}
