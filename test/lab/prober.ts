/** Measures from inside when a tunnel works: a process on each host that asks and answers through it ten times a second. */
import { join } from "node:path";
import { repositoryRoot } from "../fixtures/path.ts";
import type { Lab, LabHost } from "./lab.ts";
import { waitFor } from "./wait.ts";

const PORT = 7007;
const EVERY_MS = 100;
/** A tunnel has come back when of the probes of this time ... */
const STEADY_MS = 2_000;
/** ... this share is answered. Low, because some scenarios lose packets: 30 % each way leaves half of the answers. */
const STEADY_SHARE = 0.25;

/** One answered probe; milliseconds since 1970. */
export interface Answer {
  readonly sentMs: number;
  readonly receivedMs: number;
}

export interface ProbedPair {
  /** What each of the two hosts got answered so far. */
  readonly answers: readonly [readonly Answer[], readonly Answer[]];
  /** Resolves with when (milliseconds since 1970) the tunnel worked both ways again for probes sent after `sinceMs`. */
  waitForBothWays(sinceMs: number, options: { readonly timeoutMs: number }): Promise<number>;
  stop(): Promise<void>;
}

/** Milliseconds since 1970, with fractions, as the probers stamp them. */
export function stampMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Starts probing between two hosts. Not before both know an endpoint: see waitForEndpoints of pair.ts. */
export async function startProbers(lab: Lab, [one, two]: readonly [LabHost, LabHost]): Promise<ProbedPair> {
  const script = join(repositoryRoot, "test/lab/tools/tunnel-prober.mjs");
  async function start(from: LabHost, to: LabHost) {
    const answers: Answer[] = [];
    const prober = await lab.spawn(from.name, [process.execPath, script, `${PORT}`, `${EVERY_MS}`, to.tunnel4]);
    prober.onLine((line) => {
      const [, sentMs, receivedMs] = line.split(" ").map(Number);
      if (sentMs && receivedMs) answers.push({ sentMs, receivedMs });
    });
    return { answers, prober };
  }
  const ends = await Promise.all([start(one, two), start(two, one)]);
  return {
    answers: [ends[0].answers, ends[1].answers],
    async waitForBothWays(sinceMs, { timeoutMs }) {
      const times = await waitFor(
        () => {
          const found = ends.map(({ answers }) => findSteady(answers, sinceMs));
          return found.every((time) => time !== undefined) && found;
        },
        { what: "answers through the tunnel both ways", timeoutMs: timeoutMs + STEADY_MS, everyMs: 50 },
      );
      return Math.max(...times);
    },
    async stop() {
      await Promise.all(ends.map(({ prober }) => prober.stop("SIGKILL")));
    },
  };
}

/** When the first answer came after which the tunnel stayed usable. */
function findSteady(answers: readonly Answer[], sinceMs: number): number | undefined {
  const after = answers.filter(({ sentMs }) => sentMs >= sinceMs);
  const needed = (STEADY_MS / EVERY_MS) * STEADY_SHARE;
  return after.find(({ receivedMs: first }) => {
    const steady = after.filter(({ receivedMs }) => receivedMs >= first && receivedMs <= first + STEADY_MS);
    return steady.length >= needed;
  })?.receivedMs;
}
