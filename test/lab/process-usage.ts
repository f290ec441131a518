/** Memory, descriptors and processor time of a process over time, and whether they grow. */
import { readdirSync, readFileSync } from "node:fs";

/** What is compared is the smallest figure of this many samples: garbage waits for its collection. */
const WINDOW_SAMPLES = 12;

export interface ProcessUsage {
  readonly name: string;
  /** Resident memory at the end, and how much more it is than at the beginning of the period that is looked at. */
  readonly rssKib: number;
  readonly rssGrowthKib: number;
  readonly descriptors: number;
  readonly descriptorGrowth: number;
  /** Per cent of one core, over its whole life. */
  readonly cpuPercent: number;
}

export interface Sample {
  readonly rssKib: number;
  readonly descriptors: number;
  readonly cpuSeconds: number;
  readonly atMs: number;
}

/** What a process uses now; proc(5). */
export function sampleOf(pid: number): Sample {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const rssKib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]);
  // After the name, which may contain anything: fields 14 and 15 are the 12th and 13th.
  const times = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  const cpuSeconds = (Number(times[11]) + Number(times[12])) / 100;
  return { rssKib, cpuSeconds, descriptors: readdirSync(`/proc/${pid}/fd`).length, atMs: performance.now() };
}

/** Compares the beginning of the last two thirds of the samples with their end. */
export function usageOf(name: string, samples: readonly Sample[]): ProcessUsage {
  const period = samples.slice(Math.floor(samples.length / 3));
  const window = Math.min(WINDOW_SAMPLES, Math.ceil(period.length / 3));
  const smallest = (some: readonly Sample[], field: "rssKib" | "descriptors") =>
    Math.min(...some.map((sample) => sample[field]));
  const [begin, end] = [period.slice(0, window), period.slice(-window)];
  const [first, last] = [samples[0], samples.at(-1)];
  const rssKib = smallest(end, "rssKib");
  const descriptors = smallest(end, "descriptors");
  return {
    name,
    rssKib,
    rssGrowthKib: rssKib - smallest(begin, "rssKib"),
    descriptors,
    descriptorGrowth: descriptors - smallest(begin, "descriptors"),
    cpuPercent:
      first && last ? ((last.cpuSeconds - first.cpuSeconds) / (last.atMs - first.atMs)) * 100_000 : Number.NaN,
  };
}
