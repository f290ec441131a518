/** First connections: how long after the start of the second daemon its tunnel works both ways. */
import { setTimeout as sleep } from "node:timers/promises";
import { openPair, type Pair, type PairOptions } from "./pair.ts";
import { stampMs } from "./prober.ts";
import { waitFor } from "./wait.ts";

export interface StartOptions extends PairOptions {
  /** How long after the first daemon the second one starts. */
  readonly offsetMs: number;
  /** Packets for the tunnel come from both hosts all the time, as of monitoring; else only when there is a session. */
  readonly hasTraffic: boolean;
}

/** Longer than any target: what takes this long has failed. */
const GIVE_UP_MS = 90_000;

/** Opens a pair, starts it and closes it again; gives how long it took, in ms. Throws with both daemons' logs. */
export async function measureStart(options: StartOptions): Promise<number> {
  const pair = await openPair(options);
  try {
    if (options.hasTraffic) await pair.probe();
    await pair.startDaemon(pair.hosts[0]);
    await sleep(options.offsetMs);
    const beganMs = stampMs();
    await pair.startDaemon(pair.hosts[1]);
    if (!options.hasTraffic) await waitForSessions(pair);
    const sessionsMs = stampMs();
    const probers = await pair.probe();
    const workedMs = await probers.waitForBothWays(beganMs, { timeoutMs: GIVE_UP_MS });
    // Without traffic nothing is sent before there is a session; what takes long after that was no working one.
    const startOfProbersMs = 1_000;
    return (options.hasTraffic || workedMs > sessionsMs + startOfProbersMs ? workedMs : sessionsMs) - beganMs;
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n${pair.logs()}`);
  } finally {
    await pair.close();
  }
}

async function waitForSessions({ lab, hosts: [one, two] }: Pair): Promise<void> {
  const ends = [
    [one, two],
    [two, one],
  ] as const;
  for (const [from, to] of ends) {
    const what = `a handshake of ${from.name} with ${to.name}`;
    await waitFor(() => lab.latestHandshake(from.name, to.name), { what, timeoutMs: GIVE_UP_MS, everyMs: 20 });
  }
}
