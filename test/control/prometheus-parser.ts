/**
 * Reads Prometheus' text format 0.0.4 and refuses whatever its specification or `promtool check metrics` would: a strict
 * reader of its own, so that the writer is not judged by itself.
 */
import assert from "node:assert/strict";

export interface ParsedMetric {
  readonly type: string;
  readonly help: string;
  readonly samples: readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** Metrics by name. Fails on anything that is not right. */
export function parsePrometheusText(text: string): ReadonlyMap<string, ParsedMetric> {
  assert.ok(text.endsWith("\n"), "the last line ends");
  const metrics = new Map<string, { type: string; help: string; samples: ParsedMetric["samples"][number][] }>();
  const series = new Set<string>();
  let current = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const help = /^# HELP ([a-zA-Z_:][\w:]*) (.+)$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge)$/.exec(line);
    if (help?.[1]) {
      current = help[1];
      assert.ok(!metrics.has(current), `${current} is one block`);
      metrics.set(current, { type: "", help: help[2] ?? "", samples: [] });
      continue;
    }
    const metric = metrics.get(current);
    assert.ok(metric, `HELP comes first: ${line}`);
    if (type) {
      assert.equal(type[1], current, line);
      assert.ok(metric.type === "" && metric.samples.length === 0, `TYPE comes once, before the samples: ${line}`);
      metric.type = type[2] ?? "";
      continue;
    }
    const sample = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    assert.ok(sample && sample[1] === current && metric.type !== "", `a sample of ${current}: ${line}`);
    const value = Number((sample[3] ?? "").replace("Inf", "Infinity"));
    assert.ok(/^[-+]?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|Inf)$|^NaN$/.test(sample[3] ?? ""), line);
    const id = `${current}{${sample[2] ?? ""}}`;
    assert.ok(!series.has(id), `once: ${line}`);
    series.add(id);
    metric.samples.push({ labels: parseLabels(sample[2] ?? ""), value });
  }
  for (const [name, metric] of metrics) lint(name, metric);
  return metrics;
}

function parseLabels(text: string): Readonly<Record<string, string>> {
  const labels: Record<string, string> = {};
  let rest = text;
  while (rest !== "") {
    const [whole, name = "", value = ""] = /^([a-zA-Z_]\w*)="((?:[^"\\\n]|\\["\\n])*)"(?:,(?=.)|$)/.exec(rest) ?? [];
    assert.ok(whole, `labels: ${rest}`);
    assert.ok(!Object.hasOwn(labels, name) && !name.startsWith("__"), name);
    labels[name] = value.replace(/\\(.)/g, (_, character) => (character === "n" ? "\n" : character));
    rest = rest.slice(whole.length);
  }
  return labels;
}

/** What `promtool check metrics` complains about, beyond the format. */
function lint(name: string, { type, help, samples }: ParsedMetric): void {
  assert.ok(samples.length > 0, `${name} has samples`);
  assert.notEqual(help.trim(), "", name);
  assert.equal(name.endsWith("_total"), type === "counter", `${name}: _total is for counters, and for all of them`);
  assert.doesNotMatch(name, /[A-Z]|_(?:count|sum|bucket)$|__/, name);
  assert.doesNotMatch(name, /_(?:ms|milliseconds|minutes|hours|kb|kilobytes|mb|percent)(?:_|$)/, `${name}: base units`);
  assert.doesNotMatch(name, new RegExp(`_${type}(?:_|$)`), `${name}: no type in the name`);
  const labelNames = samples.map(({ labels }) => Object.keys(labels).join());
  assert.equal(new Set(labelNames).size, 1, `${name}: the same labels everywhere`);
}
