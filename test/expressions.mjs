// Fails when a regular expression in the program takes more than linear time: what it reads comes from outside, and
// whoever wrote that could stop the daemon. `npm run expressions`.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseSync } from "oxc-parser";
import { check } from "recheck";
import { root } from "./setup.mjs";

const folders = ["src", "contrib"];
/** For one expression; the slowest takes a second. What cannot be judged in this time is to be written more simply. */
const TIMEOUT_MS = 20_000;

/** Expressions of a file, and where it builds some at run time, which nobody can check here. */
function findExpressions(file) {
  const text = readFileSync(join(root, file), "utf8");
  const { program, errors } = parseSync(file, text);
  if (errors.length > 0) throw new Error(`Cannot parse ${file}: ${errors[0].message}`);
  const found = [];
  function visit(node) {
    if (typeof node !== "object" || node === null) return;
    const place = `${file}:${text.slice(0, node.start ?? 0).split("\n").length}`;
    if (node.type === "Literal" && node.regex) found.push({ place, ...node.regex });
    if (node.callee?.name === "RegExp") found.push({ place, pattern: undefined });
    for (const child of Object.values(node)) visit(child);
  }
  visit(program);
  return found;
}

/** An expression without `*`, `+` and `{n,}` looks at no more characters than it is long. */
function isUnbounded({ pattern }) {
  const signs = pattern.replace(/\\.|\[(?:\\.|[^\]\\])*\]/gs, "");
  return /[*+]|\{\d+,\}/.test(signs);
}

/** With counts of at most 3: what is ambiguous stays so, and what would be 63 copies of a part takes no time. */
function shortened(pattern) {
  return pattern.replace(/(?<!\\[pPu])\{(\d+)(,?)(\d*)\}/g, (_, least, comma, most) => {
    const smaller = (count) => (count === "" ? "" : Math.min(Number(count), 3));
    return `{${smaller(least)}${comma}${smaller(most)}}`;
  });
}

async function whyNot({ pattern, flags }) {
  // Sticky: tried at one place only, as with ^. The tool does not know that.
  const anchored = flags.includes("y") ? `^(?:${shortened(pattern)})` : shortened(pattern);
  // The automaton gives the same answer in every run; the tool's other way measures times.
  const options = { timeout: TIMEOUT_MS, checker: "automaton" };
  const { status, complexity, attack } = await check(anchored, flags.replace(/[gy]/g, ""), options);
  if (status === "safe") return undefined;
  if (status === "unknown") return "cannot be judged: write it more simply, or as a loop";
  return `takes ${complexity.summary} time, for example with ${attack.pattern}`;
}

const files = folders
  .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => join(folder, name)))
  .filter((file) => file.endsWith(".ts") && !file.includes("node_modules"));
const expressions = files.flatMap(findExpressions);
const problems = expressions
  .filter(({ pattern }) => pattern === undefined)
  .map(({ place }) => `${place}: an expression is built at run time, and cannot be checked`);
const unbounded = expressions.filter(({ pattern }) => pattern !== undefined).filter(isUnbounded);
const judged = await Promise.all(unbounded.map(async (one) => ({ ...one, why: await whyNot(one) })));
for (const { place, pattern, flags, why } of judged) if (why) problems.push(`${place}: /${pattern}/${flags} ${why}`);
for (const problem of problems) console.error(problem);
console.log(`${expressions.length} regular expressions, ${problems.length} that may take more than linear time`);
// The tool keeps a process of its own running.
process.exit(problems.length > 0 ? 1 : 0);
