/**
 * What happens to a working tunnel, and how long it then takes until pings go through both ways again: the scenarios of
 * recovery.test.ts (short) and soak.mjs (long).
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { openPair, type Pair, type PairOptions, type StoreMode } from "./pair.ts";
import { stampMs } from "./prober.ts";

export interface Scenario {
  /** Short name: `--scenario a,b`. */
  readonly key: string;
  readonly title: string;
  readonly target: { readonly medianMs?: number; readonly worstMs?: number };
  readonly pair: PairOptions;
  /** Breaks a healthy pair and gives how long it took to come back, in ms. */
  run(pair: Pair, options: RunOptions): Promise<number>;
  /** The daemons are not started and nothing is probed before `run`. */
  readonly startsCold?: true;
  /** Most of the time nothing happens: many runs at the same time do not disturb anybody. */
  readonly isIdle?: true;
}

interface RunOptions {
  /** Shorter outages. */
  readonly quick: boolean;
}

/** Longer than any target: what takes this long has failed. */
const GIVE_UP_MS = 120_000;

/** Opens a pair, runs the scenario once, and closes everything. Throws with both daemons' logs when it does not recover. */
export async function runScenario(scenario: Scenario, options: RunOptions): Promise<{ ms: number; logs: string }> {
  const pair = await openPair(scenario.pair);
  try {
    if (!scenario.startsCold) await makeHealthy(pair);
    const ms = await scenario.run(pair, options);
    return { ms, logs: pair.logs() };
  } catch (error) {
    throw new Error(`${scenario.title}: ${error instanceof Error ? error.message : error}\n${pair.logs()}`);
  } finally {
    await pair.close();
  }
}

async function makeHealthy(pair: Pair): Promise<void> {
  const sinceMs = stampMs();
  await Promise.all(pair.hosts.map((host) => pair.startDaemon(host)));
  await pair.waitForEndpoints({ timeoutMs: GIVE_UP_MS });
  const probers = await pair.probe();
  await probers.waitForBothWays(sinceMs, { timeoutMs: GIVE_UP_MS });
  // Past the time in which WireGuard makes no second handshake, and at no particular moment between two pings.
  await sleep(4_000 + Math.random() * 2_000);
}

/** Does something to a pair and measures from its beginning (or, with `after`, from its end). */
async function measure(
  pair: Pair,
  fault: () => Promise<unknown>,
  { after = false }: { readonly after?: boolean } = {},
): Promise<number> {
  const probers = await pair.probe();
  const beganMs = stampMs();
  await fault();
  const endedMs = stampMs();
  const backMs = await probers.waitForBothWays(endedMs, { timeoutMs: GIVE_UP_MS });
  return Math.max(0, backMs - (after ? endedMs : beganMs));
}

/** The daemons, or one of them, are started; measured until the tunnel works. Nothing is sent before there are endpoints. */
async function measureStart(pair: Pair, start: () => Promise<unknown>): Promise<number> {
  const beganMs = stampMs();
  await start();
  await pair.waitForEndpoints({ timeoutMs: GIVE_UP_MS });
  const probers = await pair.probe();
  return (await probers.waitForBothWays(beganMs, { timeoutMs: GIVE_UP_MS })) - beganMs;
}

const rebindOne = ({ lab }: Pair) => lab.fault("rebind", "r1");
const rebindBoth = ({ lab }: Pair) => Promise.all([lab.fault("rebind", "r1"), lab.fault("rebind", "r2")]);
const changeWanAddress = ({ lab }: Pair) => lab.fault("wan_addr", "r1", 3);

const basic: readonly Scenario[] = (["file", "shell"] as const).flatMap((store): readonly Scenario[] => {
  const [suffix, words] = store === "file" ? ["", ""] : ["-polled", ", store without notification"];
  return [
    {
      key: `a${suffix}`,
      title: `the NAT of one site forgets its mappings${words}`,
      target: { medianMs: 5_000, worstMs: 10_000 },
      pair: { store },
      run: (pair) => measure(pair, () => rebindOne(pair)),
    },
    {
      key: `b${suffix}`,
      title: `the NATs of both sites forget their mappings${words}`,
      target: { medianMs: 8_000 },
      pair: { store },
      run: (pair) => measure(pair, () => rebindBoth(pair)),
    },
    {
      key: `c${suffix}`,
      title: `the public address of one site changes${words}`,
      target: { medianMs: 5_000 },
      pair: { store },
      run: (pair) => measure(pair, () => changeWanAddress(pair)),
    },
  ];
});

const network: readonly Scenario[] = [
  {
    key: "d",
    title: "one site switches to its second uplink",
    target: { medianMs: 5_000 },
    pair: { site: { wans: 2 } },
    run: (pair) => measure(pair, () => pair.lab.fault("wan_switch", "r1", 1)),
  },
  {
    key: "e",
    title: "one site gets another IPv6 prefix",
    target: { medianMs: 5_000 },
    pair: { protocol: "ipv6" },
    run: (pair) => measure(pair, () => pair.lab.fault("renumber6", "r1")),
  },
  {
    key: "f",
    title: "the uplink of one site is down for 60 s (measured from its end)",
    target: { medianMs: 5_000 },
    pair: {},
    async run(pair, { quick }) {
      await pair.lab.fault("uplink", "r1", "down");
      await sleep(quick ? 20_000 : 60_000);
      return measure(pair, () => pair.lab.fault("uplink", "r1", "up"), { after: true });
    },
  },
  {
    key: "g-refusing",
    title: "a with the first STUN server refusing",
    target: { medianMs: 6_500 },
    pair: { services: ["stun1", "stun2"] },
    async run(pair) {
      await pair.lab.fault("stun_stop", "stun1");
      return measure(pair, () => rebindOne(pair));
    },
  },
  {
    key: "g-silent",
    title: "a with the first STUN server silent",
    target: { medianMs: 6_500 },
    pair: { services: ["stun1", "stun2"] },
    async run(pair) {
      await pair.lab.fault("stun_block", "stun1", "on");
      return measure(pair, () => rebindOne(pair));
    },
  },
  {
    key: "h-start",
    title: "start with 30 % loss each way",
    target: { medianMs: 15_000 },
    pair: {},
    startsCold: true,
    async run(pair) {
      await pair.lab.fault("loss", "r1", 30);
      return measureStart(pair, () => Promise.all(pair.hosts.map((host) => pair.startDaemon(host))));
    },
  },
  {
    key: "h-rebind",
    title: "a with 30 % loss each way",
    target: { medianMs: 15_000 },
    pair: {},
    async run(pair) {
      await pair.lab.fault("loss", "r1", 30);
      return measure(pair, () => rebindOne(pair));
    },
  },
  {
    key: "i",
    title: "WireGuard of one site is stopped and started on another port",
    target: { worstMs: 10_000 },
    pair: {},
    async run(pair) {
      await pair.stopProbing();
      const port = 40_000 + Math.floor(Math.random() * 10_000);
      await pair.lab.fault("wg_stop", "h1");
      return measureStart(pair, () => pair.lab.fault("wg_start", "h1", port));
    },
  },
  {
    key: "j",
    title: "one daemon is killed, its NAT forgets its mappings, the daemon is started again (measured from its start)",
    target: { medianMs: 5_000 },
    pair: {},
    run: restartAfterRebind,
  },
];

/** A fault soon after the tunnel came back from the one before, when everybody still has fresh memories of both. */
const again: readonly Scenario[] = ([0, 3, 6, 10, 20] as const).map((gapS) => ({
  key: `again-${gapS}`,
  title: `the NAT of one site forgets its mappings again, ${gapS} s after the tunnel came back (measured from the second time)`,
  target: { medianMs: 4_000, worstMs: 8_000 },
  pair: {},
  async run(pair) {
    await measure(pair, () => rebindOne(pair));
    await sleep(gapS * 1_000);
    return measure(pair, () => rebindOne(pair));
  },
}));

const inARow: readonly Scenario[] = [
  {
    key: "again-c",
    words: "the public address of the other site changes",
    fault: ({ lab }: Pair) => lab.fault("wan_addr", "r2", 3),
  },
  { key: "again-b", words: "the NATs of both sites forget their mappings", fault: rebindBoth },
  {
    key: "again-jitter",
    words: "each packet takes 150 ms more or less than 50 longer, and the NAT forgets its mappings",
    fault: slowDownAndRebind,
  },
].map(({ key, words, fault }) => ({
  key,
  title: `${words}, right after the tunnel came back from a`,
  target: { medianMs: 4_000, worstMs: 8_000 },
  pair: {},
  async run(pair) {
    await measure(pair, () => rebindOne(pair));
    return measure(pair, () => fault(pair));
  },
}));

async function slowDownAndRebind(pair: Pair): Promise<void> {
  await pair.lab.fault("delay", "r1", 75, 25);
  await rebindOne(pair);
}

const restart: Scenario = {
  key: "again-j",
  title: "j right after the tunnel came back from a (measured from the start of the daemon)",
  target: { medianMs: 4_000, worstMs: 8_000 },
  pair: {},
  async run(pair) {
    await measure(pair, () => rebindOne(pair));
    return restartAfterRebind(pair);
  },
};

async function restartAfterRebind(pair: Pair): Promise<number> {
  const [host] = pair.hosts;
  await pair.daemons.get(host)!.process.stop("SIGKILL");
  await rebindOne(pair);
  const probers = await pair.probe();
  const beganMs = stampMs();
  await pair.startDaemon(host);
  return (await probers.waitForBothWays(beganMs, { timeoutMs: GIVE_UP_MS })) - beganMs;
}

const storeFaults: Readonly<Record<Exclude<StoreMode, "ok">, string>> = {
  error: "fails",
  garbage: "gives garbage",
  stale: "gives what it had",
  rollback: "gives the first record there was",
  reflected: "gives one's own record",
  empty: "is empty",
  hang: "hangs",
  slow: "takes 5 s",
};

const stores: readonly Scenario[] = Object.entries(storeFaults).map(([mode, words]) => ({
  key: `k-${mode}`,
  title: `the store ${words}, and one NAT forgets its mappings meanwhile (measured from the end of the trouble)`,
  target: { worstMs: 30_000 },
  pair: { store: "shell" },
  isIdle: true,
  async run(pair, { quick }) {
    pair.setStore(mode as StoreMode);
    const before = pair.endpointWrites();
    // Everything a daemon does by itself, several times.
    for (let refreshes = 0; refreshes < (quick ? 2 : 4); refreshes++) {
      for (const daemon of pair.daemons.values()) process.kill(daemon.process.pid, "SIGUSR1");
      await sleep(2_500);
    }
    // Calls that are still under way then are not all of the same age.
    await sleep((quick ? 2_000 : 10_000) * Math.random());
    assert.equal(pair.endpointWrites(), before, "endpoint writes while the tunnel worked");
    const probers = await pair.probe();
    const brokenMs = stampMs();
    await rebindOne(pair);
    // Long enough for the looks at the store to have become rare.
    await sleep(quick ? 5_000 : 30_000 + 60_000 * Math.random());
    pair.setStore("ok");
    const endedMs = stampMs();
    return Math.max(0, (await probers.waitForBothWays(brokenMs + 500, { timeoutMs: GIVE_UP_MS })) - endedMs);
  },
}));

const absence: Scenario = {
  key: "l",
  title: "the peer is away for 10 minutes, then its daemon starts",
  target: { worstMs: 33_000 },
  pair: { store: "shell" },
  startsCold: true,
  isIdle: true,
  async run(pair, { quick }) {
    const [one, two] = pair.hosts;
    const daemon = await pair.startDaemon(one);
    await daemon.waitForEvent({ msg: "endpoint published" });
    await sleep(quick ? 90_000 : 600_000);
    return measureStart(pair, () => pair.startDaemon(two));
  },
};

/** The same with the two sites 100 ms from each other, and with traffic: the probers, and the daemons' pings. */
const far: readonly Scenario[] = [...basic, ...network]
  .filter(({ key }) => ["a", "b", "c", "c-polled", "d", "e", "f", "g-silent", "i", "j"].includes(key))
  .map((scenario) => ({
    ...scenario,
    key: `${scenario.key}-far`,
    title: `${scenario.title}, at a round-trip time of 100 ms`,
    target: {
      ...(scenario.target.medianMs !== undefined && { medianMs: scenario.target.medianMs + 1_000 }),
      ...(scenario.target.worstMs !== undefined && { worstMs: scenario.target.worstMs + 1_000 }),
    },
    pair: { ...scenario.pair, rttMs: 100 },
  }));

export const scenarios: readonly Scenario[] = [
  ...basic,
  ...network,
  ...again,
  ...inARow,
  restart,
  ...far,
  ...stores,
  absence,
];
