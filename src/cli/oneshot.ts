/**
 * `stunmesh-ts --oneshot`: brings every peer up once, as far as it goes, and ends. As in STUNMESH-go, but it ends as soon
 * as there is nothing left to do, and its exit code says whether everything worked.
 */
import type { Clock } from "../clock.ts";
import type { InterfaceConfig } from "../config/types.ts";
import { pollDelayMs } from "../convergence.ts";
import { createCycle, type PeerOutcome } from "../cycle.ts";
import { isFatal } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Parts } from "../parts.ts";
import type { WireGuardDevice } from "../wg/types.ts";
import type { OnceMemory } from "./memory.ts";

/** STUNMESH-go takes 19 s for its three rounds; two hosts started within that time of each other find one another. */
const GIVE_UP_MS = 20_000;

interface OneshotOptions {
  readonly interfaces: readonly InterfaceConfig[];
  readonly parts: Parts;
  memoryOf(name: string): OnceMemory;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly log: Log;
}

/** Resolves with 0 when every peer was published to and has an endpoint from its record or a working tunnel, else 75. */
export async function runOneshot(options: OneshotOptions): Promise<number> {
  const { interfaces, parts, log } = options;
  const results = await Promise.allSettled(interfaces.map((one) => bringUp(one, options)));
  await parts.close();
  for (const result of results) if (result.status === "rejected") throw result.reason;
  const unfinished = results.flatMap((result) => (result.status === "fulfilled" ? result.value : []));
  if (unfinished.length === 0) return 0;
  log.error({ names: unfinished }, "not every peer could be brought up");
  return 75;
}

/** The names of the peers that were not brought up in time. */
async function bringUp(config: InterfaceConfig, options: OneshotOptions): Promise<readonly string[]> {
  const { parts, memoryOf, signal, clock } = options;
  const deps = parts.forInterface(config);
  const memory = memoryOf(config.name);
  let seen: WireGuardDevice | undefined;
  const cycle = createCycle({
    ...deps,
    // There is no later in which a peer could make the handshake.
    natOpener: undefined,
    onAnswer: () => undefined,
    onOwnAddress: () => undefined,
    saveSequence: async () => seen && memory.save(seen, [...cycle.peers.values()]),
  });
  const start = clock.monotonic();
  let open = [...cycle.peers.values()];
  for (let attempt = 0; open.length > 0; attempt++) {
    const device = await deps.wireguard.readDevice(config.name, signal);
    if (!seen) await memory.recall(device, open);
    seen = device;
    cycle.observe(device, open);
    const occasion = attempt === 0 ? "interval" : "poll";
    const request = { device, occasion, maxDiscoveryAgeMs: GIVE_UP_MS, waitForAll: true, signal } as const;
    const outcomes = await Promise.all(open.map((peer) => cycle.refreshPeer(peer, request)));
    for (const { error } of outcomes) if (isFatal(error)) throw error;
    open = open.filter((_, index) => !isDone(outcomes[index]));
    if (open.length === 0 || clock.monotonic() - start > GIVE_UP_MS) break;
    await clock.sleep(pollDelayMs(attempt, { maxMs: 4_000, random: Math.random() }), signal);
  }
  await cycle.idle();
  return open.map(({ config: { name } }) => name);
}

function isDone(outcome: PeerOutcome | undefined): boolean {
  if (!outcome || outcome.published === "failed") return false;
  const { fetched, settled } = outcome;
  return settled === "leave" || ((fetched === "changed" || fetched === "unchanged") && settled !== "failed");
}
