/** The first part of `npm run soak`: every scenario of recovery many times. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runScenario, type Scenario, scenarios } from "./scenarios.ts";
import { formatTable } from "./table.ts";

export interface ScenarioResult {
  readonly scenario: Scenario;
  /** Infinity for a run that failed. */
  readonly timesMs: readonly number[];
}

/** Between the beginnings of runs that wait together, so that they do not end together. */
const IDLE_STAGGER_MS = 7_000;

/** Runs the scenarios with these keys (default all), `together` at a time. Logs of runs that failed are left in `logs`. */
export async function runScenarios(options: {
  readonly keys: readonly string[] | undefined;
  readonly times: number;
  readonly together: number;
  readonly quick: boolean;
  readonly logs: string;
  say(line: string): void;
}): Promise<readonly ScenarioResult[]> {
  const { keys, times, together, quick, logs, say } = options;
  const unknown = keys?.find((key) => !scenarios.some((scenario) => scenario.key === key));
  if (unknown !== undefined) {
    throw new Error(`Cannot run scenario "${unknown}": there are ${scenarios.map(({ key }) => key).join(", ")}`);
  }
  const wanted = scenarios.filter(({ key }) => !keys || keys.includes(key));
  const results = wanted.map((scenario) => ({ scenario, timesMs: [] as number[] }));
  const runs = results.flatMap((result) => Array.from({ length: times }, (_, run) => ({ ...result, run })));
  // Not all runs of a scenario after each other, so that each of them meets the machine in all its moods.
  const queue = runs.filter(({ scenario }) => !scenario.isIdle).sort((one, other) => one.run - other.run);
  const beside = runs.filter(({ scenario }) => scenario.isIdle);
  async function runOne({ scenario, timesMs, run }: (typeof runs)[number]): Promise<void> {
    try {
      const { ms } = await runScenario(scenario, { quick });
      timesMs.push(ms);
      say(`${scenario.key} #${run + 1}: ${(ms / 1000).toFixed(2)} s`);
    } catch (error) {
      timesMs.push(Number.POSITIVE_INFINITY);
      mkdirSync(logs, { recursive: true });
      const file = join(logs, `${scenario.key}-${run + 1}.log`);
      writeFileSync(file, String(error));
      say(`${scenario.key} #${run + 1}: FAILED, see ${file}`);
    }
  }
  async function work(): Promise<void> {
    for (let next = queue.shift(); next; next = queue.shift()) await runOne(next);
  }
  async function workBeside(next: (typeof runs)[number], index: number): Promise<void> {
    await sleep(index * IDLE_STAGGER_MS);
    await runOne(next);
  }
  await Promise.all([...Array.from({ length: together }, work), ...beside.map(workBeside)]);
  return results;
}

/** True when median and worst are within the targets that the scenario has. */
export function isOnTarget({ scenario: { target }, timesMs }: ScenarioResult): boolean {
  const { medianMs, worstMs } = summarize(timesMs);
  return medianMs <= (target.medianMs ?? Number.POSITIVE_INFINITY) && worstMs <= (target.worstMs ?? Number.MAX_VALUE);
}

/** The results as a table in Markdown. */
export function formatResults(results: readonly ScenarioResult[]): string {
  const seconds = (ms: number) => (Number.isFinite(ms) ? `${(ms / 1000).toFixed(1)} s` : "never");
  const rows = results.map(({ scenario: { key, title, target }, timesMs }) => {
    const { medianMs, worstMs } = summarize(timesMs);
    const targets = [
      ...(target.medianMs === undefined ? [] : [`median ${seconds(target.medianMs)}`]),
      ...(target.worstMs === undefined ? [] : [`worst ${seconds(target.worstMs)}`]),
    ];
    return [key, title, targets.join(", "), seconds(medianMs), seconds(worstMs), `${timesMs.length}`];
  });
  return formatTable(["", "what happens", "target", "median", "worst", "runs"], rows);
}

/** Median and worst of times. */
function summarize(times: readonly number[]): { readonly medianMs: number; readonly worstMs: number } {
  const sorted = times.toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const low = sorted[Math.ceil(middle) - 1] ?? Number.NaN;
  const high = sorted[Math.floor(middle)] ?? Number.NaN;
  return { medianMs: (low + high) / 2, worstMs: sorted.at(-1) ?? Number.NaN };
}
