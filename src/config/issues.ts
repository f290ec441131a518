/**
 * zod's issues -> texts for a person. Never shows a value: what a schema here says about values stands in its messages,
 * and the schema of a plugin never says one (plugins/types.ts). So nothing has to be taken out of a finished message, which
 * would also take the program's own words when a secret is as short as "x".
 */
import type * as z from "zod";
import { explainUnknownKey } from "./keys.ts";
import { type ConfigPath, kindOf, type Report } from "./report.ts";

interface IssueContext {
  readonly report: Report;
  /** Path of the value that was checked. */
  readonly base: ConfigPath;
  /** The value that was checked. */
  readonly value: unknown;
}

type Issue = z.core.$ZodIssue;

const expectedWords: Readonly<Record<string, string>> = {
  object: "a mapping",
  record: "a mapping",
  array: "a list",
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
};

/** More errors than a person is shown: to take the secrets out of each costs a search for every one of them. */
const MAX_EXPLAINED = 50;

/** Reports every issue of a failed parse, the first of them with their reasons. */
export function reportIssues(issues: readonly Issue[], context: IssueContext): void {
  for (const [index, issue] of issues.entries()) {
    // Of keys nothing is a secret, and whether they are errors is the report's business.
    if (index < MAX_EXPLAINED || issue.code === "unrecognized_keys") reportIssue(issue, context);
    else context.report.error([...context.base, ...issue.path.map(stepOf)], "is not valid");
  }
}

function stepOf(step: PropertyKey): string | number {
  return typeof step === "symbol" ? String(step) : step;
}

function reportIssue(issue: Issue, context: IssueContext): void {
  const { report, base, value } = context;
  const steps = issue.path.map(stepOf);
  const path = [...base, ...steps];
  if (issue.code === "unrecognized_keys") {
    for (const key of issue.keys) report.unknownKey([...path, key], explainUnknownKey(key, []));
  } else if (issue.code === "invalid_union" && issue.errors.length > 0) {
    for (const inner of nearestBranch(issue.errors))
      reportIssue({ ...inner, path: [...steps, ...inner.path] }, context);
  } else if (issue.code === "invalid_key") {
    for (const { message } of issue.issues) report.error(path, message, { part: "key" });
  } else {
    report.error(path, explain(issue, valueAt(value, steps)));
  }
}

function explain(issue: Issue, found: unknown): string {
  // Messages of our own are complete; zod's own begin so.
  if (issue.code === "invalid_type" && issue.message.startsWith("Invalid input")) {
    const expected = expectedWords[issue.expected] ?? issue.expected;
    return found === undefined ? `missing: ${expected} wanted` : `must be ${expected}, not ${kindOf(found)}`;
  }
  if (issue.code === "too_small" && issue.origin === "string" && issue.minimum === 1) return "must not be empty";
  return issue.message.replace(/^Invalid (?:input|option|string): /, "").replace(/\.$/, "");
}

/** The alternative of a union that came farthest: its complaint is the one that helps. */
function nearestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] {
  const depthOf = (branch: readonly Issue[]) => Math.max(0, ...branch.map(({ path }) => path.length));
  return branches.reduce((best, branch) => (depthOf(branch) > depthOf(best) ? branch : best));
}

function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  let here = value;
  for (const step of path) {
    if (typeof here !== "object" || here === null || !Object.hasOwn(here, step)) return undefined;
    here = Reflect.get(here, step);
  }
  return here;
}
