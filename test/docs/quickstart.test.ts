/** The quick start against the code: commands with their own options, what `init` asks, and README.md's part of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { readCommandLine } from "../../src/cli/command-line.ts";
import { declareCommandLine } from "../../src/cli/index.ts";
import { storeOffers } from "../../src/cli/init/stores.ts";
import { chapter, codeBlocks, markedCommands, readText } from "./pages.ts";

const page = readText("docs/quickstart.md");
const readme = chapter(readText("README.md"), "Quick start on two hosts");
const { commands, options } = readCommandLine((target) => declareCommandLine(target, new AbortController().signal));

/** What was typed: the lines of scripts, and those behind a prompt. */
function typedIn(text: string): readonly string[] {
  const lines = codeBlocks(text, "sh").flatMap((block) => block.split("\n"));
  const prompted = codeBlocks(text, "console").flatMap((block) => [...block.matchAll(/^root@\S+# (.*)$/gm)]);
  return [...lines, ...prompted.map(([, line = ""]) => line)].map((line) => line.replace(/ +#.*/, "").trim());
}

for (const [name, text] of [
  ["docs/quickstart.md", page],
  ["README.md", readme],
] as const) {
  test(`the commands of the quick start in ${name} exist, with these options`, () => {
    const typed = typedIn(text).filter((line) => line.startsWith("stunmesh-ts "));
    assert.ok(typed.length >= 4);
    for (const line of typed) {
      const words = line.split(" ").slice(1);
      const command = commands.find((one) => words.slice(0, one.name.split(" ").length).join(" ") === one.name);
      assert.ok(command, line);
      const known = [...options, ...command.options].map((option) => `--${option.name}`);
      for (const word of words) assert.ok(!word.startsWith("-") || known.includes(word), `${word} of ${line}`);
    }
  });
}

test("README.md's ten commands are ten, and end as the row of the quick start does", () => {
  const ten = typedIn(readme).filter((line) => line !== "");
  assert.equal(ten.length, 10);
  const withoutOptions = (line: string) => line.replace(/^(stunmesh-ts \w+).*/, "$1");
  assert.deepEqual(ten.slice(-6), markedCommands(page, "quick start").map(withoutOptions));
});

test("the quick start shows what init asks", () => {
  for (const [index, { kind, summary }] of storeOffers.entries()) {
    assert.ok(page.includes(`\n${String(index + 1).padStart(4)}  ${kind}: ${summary}\n`), kind);
  }
  for (const { question, preset } of storeOffers.find(({ kind }) => kind === "opendht")?.questions ?? []) {
    assert.ok(page.includes(`\n${question} [${preset}]: `), question);
  }
});

test("README.md shows the status of the quick start", () => {
  const [status = ""] = codeBlocks(readme, "text");
  const [shown = ""] = status.split("\n\n64 bytes");
  assert.match(shown, /reachable/);
  assert.ok(page.includes(shown));
});
