/** `stunmesh-ts publish` and `stunmesh-ts establish`: one half of a refresh, once, for cron and for finding out what is wrong. */
import { formatTransportAddress } from "../address.ts";
import { systemClock } from "../clock.ts";
import { type Cycle, createCycle, type RefreshRequest } from "../cycle.ts";
import { describeError, type ErrorCode, errorCode, errorKinds, isAbort } from "../errors.ts";
import type { InterfaceLoopDeps } from "../interface-loop-types.ts";
import { openParts } from "../parts.ts";
import type { PeerState } from "../peer-state.ts";
import { printable, printableJson } from "../printable.ts";
import { type CommonOptions, load } from "./load.ts";
import { type OnceMemory, openMemory } from "./memory.ts";
import { selectPeers } from "./select.ts";

const EX_TEMPFAIL = 75;

export interface OnceOptions extends CommonOptions {
  /** Interfaces, peers or interface/peer; none = all. */
  readonly names: readonly string[];
  readonly json?: boolean | undefined;
}

/** What is printed about one peer, as JSON with `--json`. */
export interface PeerResult {
  readonly interface: string;
  readonly peer: string;
  readonly ok: boolean;
  /** What was done, or why not, for a person. */
  readonly result: string;
  /** Own mapped addresses (publish) or the peer's endpoint (establish). */
  readonly addresses: readonly string[];
  readonly code?: ErrorCode;
}

type Step = (cycle: Cycle, peer: PeerState, request: RefreshRequest) => Promise<Omit<PeerResult, "interface" | "peer">>;

/** Discovers once per interface and publishes to each peer. Resolves with 0 when all succeeded, else 75. */
export function publish(options: OnceOptions, signal: AbortSignal): Promise<number> {
  return runOnce(options, { signal, step: publishOne });
}

/** Fetches each peer's record once and sets its endpoint, unless the tunnel works. Resolves with 0 when all succeeded, else 75. */
export function establish(options: OnceOptions, signal: AbortSignal): Promise<number> {
  return runOnce(options, { signal, step: establishOne });
}

async function publishOne(cycle: Cycle, peer: PeerState, request: RefreshRequest) {
  await cycle.publish(peer, request);
  const own = cycle.own.current() ?? {};
  const addresses = [own.ipv4, own.ipv6].flatMap((address) => (address ? [formatTransportAddress(address)] : []));
  return { ok: true, result: `published ${addresses.join(" and ")}`, addresses };
}

async function establishOne(cycle: Cycle, peer: PeerState, request: RefreshRequest) {
  const { fetched, settled, endpoint } = await cycle.establish(peer, request);
  const addresses = endpoint ? [formatTransportAddress(endpoint)] : [];
  if (settled === "leave") return { ok: true, result: "tunnel works, nothing changed", addresses };
  if (settled === "missing") return { ok: false, result: "the peer is not on the device", addresses };
  if (fetched === "absent") return { ok: false, result: "the peer has published nothing yet", addresses };
  const result = settled === "set" ? `endpoint set to ${addresses.join()}` : `endpoint is ${addresses.join()} already`;
  return { ok: endpoint !== undefined, result, addresses };
}

async function runOnce(
  options: OnceOptions,
  { signal, step }: { readonly signal: AbortSignal; readonly step: Step },
): Promise<number> {
  const { config, log } = await load(options, { logTo: 2 });
  const interfaces = selectPeers(config.interfaces, options.names);
  const parts = await openParts({ config, clock: systemClock, log });
  try {
    const perInterface = interfaces.map((one) => {
      const memory = openMemory(one.name, { config, log, platform: parts.platform.name });
      return runInterfaceOnce(parts.forInterface(one), { signal, step, memory });
    });
    const results = (await Promise.all(perInterface)).flat();
    print(results, options);
    return exitCodeOf(results);
  } finally {
    await parts.close();
  }
}

async function runInterfaceOnce(
  deps: InterfaceLoopDeps,
  { signal, step, memory }: { readonly signal: AbortSignal; readonly step: Step; readonly memory: OnceMemory },
): Promise<readonly PeerResult[]> {
  const reading = deps.wireguard.readDevice(deps.config.name, signal).then(async (device) => {
    await memory.recall(device, peers);
    return device;
  });
  const cycle = createCycle({
    ...deps,
    // There is no later in which a peer could make the handshake.
    natOpener: undefined,
    onAnswer: () => undefined,
    onOwnAddress: () => undefined,
    saveSequence: async () => memory.save(await reading, peers),
  });
  const peers = [...cycle.peers.values()];
  return Promise.all(
    peers.map(async (peer): Promise<PeerResult> => {
      const names = { interface: deps.config.name, peer: peer.config.name };
      try {
        const device = await reading;
        cycle.observe(device, [peer]);
        const request = { device, occasion: "failure", maxDiscoveryAgeMs: 60_000, waitForAll: true, signal } as const;
        return { ...names, ...(await step(cycle, peer, request)) };
      } catch (error) {
        if (isAbort(error)) throw error;
        const code = errorCode(error);
        return { ...names, ok: false, result: describeError(error), addresses: [], ...(code && { code }) };
      }
    }),
  );
}

/** 0 when all succeeded; else what the first failure with a code asks for, or 75 (EX_TEMPFAIL). */
function exitCodeOf(results: readonly PeerResult[]): number {
  if (results.every(({ ok }) => ok)) return 0;
  const code = results.find((result) => result.code !== undefined)?.code;
  return code === undefined ? EX_TEMPFAIL : errorKinds[code].exitCode;
}

function print(results: readonly PeerResult[], { json }: OnceOptions): void {
  if (json) {
    console.log(printableJson(results));
    return;
  }
  for (const { interface: device, peer, ok, result } of results) {
    console.log(printable(`${ok ? "ok    " : "FAILED"} ${device}/${peer}: ${result}`));
  }
}
