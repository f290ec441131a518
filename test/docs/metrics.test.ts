/** docs/metrics.md, the dashboard and the alerting rules against the metrics that there are; hooks' variables against theirs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { parse } from "yaml";
import { metricRows } from "../../src/control/metrics.ts";
import { chapter, codeRows, readText } from "./pages.ts";

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly annotations: Readonly<Record<string, string>>;
}

const page = readText("docs/metrics.md");
const labelsOf = new Map(metricRows.map(({ name, labels }) => [name, labels]));
/** Given by Prometheus itself. */
const targetLabels = ["instance", "job"];
const alerts: { readonly groups: readonly { readonly rules: readonly Rule[] }[] } = parse(
  readText("contrib/prometheus/alerts.yml"),
);
const rules = alerts.groups.flatMap((group) => group.rules);
const dashboard = JSON.parse(readText("contrib/grafana/stunmesh.json")) as unknown;

/** Everything under a key of that name, at any depth. */
function collect(value: unknown, key: string): readonly unknown[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) => [...(name === key ? [inner] : []), ...collect(inner, key)]);
}

/** Fails for a metric, or a label of one, that does not exist. */
function checkExpression(expression: string): void {
  const text = expression.replace(/"[^"]*"/g, '""');
  const names = text.match(/\b(?:stunmesh|process)_\w+/g) ?? [];
  assert.ok(names.length > 0, expression);
  for (const name of names) assert.ok(labelsOf.has(name), `${name} in ${expression}`);
  for (const [, name = "", matchers = ""] of text.matchAll(/(\w+)\{([^}]*)\}/g)) {
    const labels = matchers.split(",").map((matcher) => matcher.trim().split(/[=!]/)[0] ?? "");
    for (const label of labels) assert.ok(labelsOf.get(name)?.includes(label), `${label} of ${name}`);
  }
  for (const [, list = ""] of text.matchAll(/\b(?:on|by)\s*\(([^)]*)\)/g)) {
    for (const label of list.split(",")) assert.ok(targetLabels.includes(label.trim()), `${label} in ${expression}`);
  }
}

/** Fails for a label in a template that no metric of the expression has. */
function checkTemplates(
  text: string,
  { expression, pattern }: { readonly expression: string; readonly pattern: RegExp },
) {
  const known = [...labelsOf].flatMap(([name, labels]) => (expression.includes(name) ? labels : []));
  for (const [, label = ""] of text.matchAll(pattern)) {
    assert.ok([...known, ...targetLabels].includes(label), `${label} of ${expression}`);
  }
}

test("docs/metrics.md has exactly the metrics, with their types, labels and meanings", () => {
  const written = codeRows(chapter(page, "Metrics")).filter(([name]) => /^(?:stunmesh|process)_/.test(name ?? ""));
  const wanted = metricRows.map(({ name, type, labels, help }) => {
    const meaning = `${help[0]?.toLowerCase()}${help.slice(1)}`;
    return [name, type, labels.map((label) => `\`${label}\``).join(", "), meaning];
  });
  assert.deepEqual(written, wanted);
});

test("docs/metrics.md explains every label", () => {
  const explained = chapter(page, "Metrics")
    .split("\n")
    .flatMap((line) => (line.startsWith("| `") ? (line.split("|")[1]?.match(/\w+/g) ?? []) : []));
  const labels = new Set(metricRows.flatMap((row) => row.labels));
  labels.delete("version");
  labels.delete("endpoint");
  assert.ok(labels.size > 8);
  for (const label of labels) assert.ok(explained.includes(label), label);
});

test("every expression of the dashboard uses metrics and labels that exist", () => {
  const targets = collect(dashboard, "targets").flat() as readonly {
    readonly expr: string;
    readonly legendFormat: string;
  }[];
  assert.ok(targets.length >= 15);
  for (const { expr, legendFormat } of targets) {
    checkExpression(expr);
    checkTemplates(legendFormat, { expression: expr, pattern: /\{\{(\w+)\}\}/g });
  }
  const variables = collect(dashboard, "query").filter((query) => String(query).startsWith("label_values"));
  assert.equal(variables.length, 2);
  for (const query of variables) {
    const [, expression = "", label = ""] = /^label_values\((.*), (\w+)\)$/.exec(String(query)) ?? [];
    checkExpression(expression);
    checkTemplates(`{{${label}}}`, { expression, pattern: /\{\{(\w+)\}\}/g });
  }
});

test("panels of the dashboard have an identity and a place of their own", () => {
  const [panels] = collect(dashboard, "panels") as readonly (readonly {
    readonly id: number;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  }[])[];
  assert.ok(panels);
  assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
  const taken = new Set<string>();
  for (const { gridPos } of panels) {
    for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++) {
      for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
        assert.ok(x < 24 && !taken.has(`${x} ${y}`), `${x} ${y}`);
        taken.add(`${x} ${y}`);
      }
    }
  }
});

test("alerting rules use metrics and labels that exist, and docs/metrics.md has all of them", () => {
  for (const { expr, annotations } of rules) {
    checkExpression(expr);
    for (const text of Object.values(annotations)) {
      checkTemplates(text, { expression: expr, pattern: /\{\{ \$labels\.(\w+) \}\}/g });
    }
  }
  const written = codeRows(chapter(page, "Dashboard and alerts")).map(([name]) => name);
  assert.deepEqual(
    written,
    rules.map(({ alert }) => alert),
  );
});

test("docs/operations.md has exactly the variables a hook gets", () => {
  const written = codeRows(chapter(readText("docs/operations.md"), "Hooks")).flatMap(([name = ""]) =>
    name.startsWith("STUNMESH_") ? [name] : [],
  );
  assert.deepEqual(written, readText("src/hooks.ts").match(/\bSTUNMESH_\w+(?=:)/g));
});
