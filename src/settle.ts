/**
 * The last step of a refresh: look at the device once more, decide, write endpoints, and make WireGuard send.
 *
 * Peers that get here within a few milliseconds share one look and one write. The look comes right before the write, so
 * that a tunnel which came up while a slow store was asked is left alone.
 */
import { type EndpointRecord, formatTransportAddress, sameTransportAddress, type TransportAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import { type Decision, decide, isNews, judgeLiveness, observePeer } from "./convergence.ts";
import { handshakeAgeMs } from "./handshake-age.ts";
import { isNowhere, nowhere, YIELD_MS } from "./initiative.ts";
import type { Log } from "./log.ts";
import type { NatOpener } from "./nat-opener.ts";
import { createOpenings } from "./openings.ts";
import { doubtedSince, findPeer, type PeerState } from "./peer-state.ts";
import type { Provoker } from "./provoke.ts";
import type { HostAddresses } from "./provoke-target.ts";
import type { NatClass } from "./record.ts";
import { createTunnelPackets } from "./tunnel-packets.ts";
import type { WireGuardControl, WireGuardDevice, WireGuardPeer } from "./wg/types.ts";

/** How long the first peer waits for others to share its look at the device. */
const GATHER_MS = 5;
/** A side that did not make a session cannot renew it: asking for a packet again at every look, which its answer brings about, would flood the tunnel. */
const PROVOKE_GAP_MS = 5_000;

export interface SettleDeps {
  readonly interface: string;
  readonly wireguard: WireGuardControl;
  readonly provoker: Provoker;
  readonly clock: Clock;
  readonly log: Log;
  /** The addresses this host has now. */
  hostAddresses(): HostAddresses;
  /** Own addresses as others see them, as far as they are known. */
  own(): EndpointRecord | undefined;
  /** Verdict of a health check through the tunnel; undefined = none. */
  readonly ping?: ((peer: PeerState) => "answered" | "missed" | undefined) | undefined;
  /** The own NAT, as far as it is known. */
  readonly nat?: (() => NatClass | undefined) | undefined;
  /** Opens this side's NAT while the peer is left to make the first handshake; undefined = act at once, as a command does. */
  readonly natOpener?: NatOpener | undefined;
  /** Called when a packet that was sent through the tunnel was answered: the next look says whether through it. */
  onAnswer(peer: PeerState): void;
}

/** `open`: this side's NAT is being opened, and the first handshake left to the peer. `yield`: the next one is, by an endpoint where nobody is. */
export type Settled = Decision["action"] | "open" | "yield";

/** What is to be done about a peer on the device. */
interface Verdict {
  readonly action: Settled;
  /** The endpoint to write with `set` and `yield`. */
  readonly endpoint?: TransportAddress;
}

export interface Settler {
  /**
   * Decides about `peer` and does it. `always: "send"` sends a packet through the tunnel also when it works, because
   * this host's own address changed. Rejects with what the device throws.
   */
  settle(
    peer: PeerState,
    options: { readonly always?: "send" | undefined; readonly signal: AbortSignal },
  ): Promise<Settled | "missing">;
  /** Resolves when every packet that was sent through the tunnel was answered or given up. */
  idle(): Promise<void>;
  /** Sends one packet through the tunnel to `peer`; what comes of it is told to `onAnswer` and the log. */
  provoke(peer: PeerState, options: { readonly device: WireGuardDevice; readonly signal: AbortSignal }): void;
  /** Adds a look at the device to what is known about its peers. */
  observe(device: WireGuardDevice, peers: Iterable<PeerState>): void;
}

interface Waiting {
  readonly peer: PeerState;
  readonly always: "send" | undefined;
  readonly signal: AbortSignal;
  resolve(action: Settled | "missing"): void;
  reject(error: unknown): void;
}

export function createSettler(deps: SettleDeps): Settler {
  const { wireguard, clock, log } = deps;
  const packets = createTunnelPackets(deps);
  const underWay = new Set<Promise<void>>();
  const { natOpener } = deps;
  const openings =
    natOpener && createOpenings({ ...deps, natOpener, track, settle: (peer, signal) => settle(peer, { signal }) });
  let gathering: Waiting[] | undefined;

  function observe(device: WireGuardDevice, peers: Iterable<PeerState>): void {
    const time = { nowMs: clock.now(), monotonicMs: clock.monotonic(), sinceBootMs: clock.sinceBoot?.() };
    for (const peer of peers) {
      const reading = findPeer(device, peer);
      if (!reading) continue;
      const { latestHandshakeMs: atMs } = reading;
      // The clock was set since: the session may be a young one, which only a packet through it can say.
      const isOdd = !peer.observation && atMs !== undefined && handshakeAgeMs(atMs, time) === undefined;
      if (isOdd) peer.doubtedAtMs ??= time.monotonicMs;
      peer.observation = observePeer(peer.observation, reading, isOdd ? { ...time, nowMs: atMs } : time);
      packets.judge(peer, reading);
      peer.liveness = judgeLiveness(peer.observation, {
        monotonicMs: time.monotonicMs,
        ping: deps.ping?.(peer),
        suspectedAtMs: peer.suspectedAtMs,
        doubtedAtMs: doubtedSince(peer),
      });
      // When the tunnel dies later, the endpoint that worked gets its full time again before another is tried.
      if (peer.liveness !== "alive") continue;
      peer.aliveAtMs = time.monotonicMs;
      delete peer.trial;
      openings?.end(peer);
      if (reading.endpoint) peer.worked = reading.endpoint;
    }
  }

  async function settleAll(batch: readonly Waiting[], signal: AbortSignal): Promise<void> {
    const device = await wireguard.readDevice(deps.interface, signal);
    observe(
      device,
      batch.map(({ peer }) => peer),
    );
    const decided = batch.map((waiting) => {
      const reading = findPeer(device, waiting.peer);
      return { ...waiting, reading, decision: reading && decideFor(waiting, { reading, device }) };
    });
    const updates = decided.flatMap(({ peer, decision, reading }) =>
      (decision?.action === "set" || decision?.action === "yield") && decision.endpoint && reading
        ? [{ publicKey: peer.config.publicKey, endpoint: decision.endpoint, unlessChangedSince: reading }]
        : [],
    );
    const written = updates.length > 0 ? await wireguard.setPeerEndpoints(deps.interface, updates, signal) : [];
    const keys = new Set(written.map(({ publicKey }) => publicKey));
    for (const { peer, reading, decision: wanted, always, signal, resolve } of decided) {
      // WireGuard heard from the peer while we decided: then it knows better where the peer is.
      const isTooLate = wanted?.action === "set" && !keys.has(peer.config.publicKey);
      const decision: Verdict | undefined = isTooLate ? { action: "leave" } : wanted;
      if (reading && decision) carryOn(peer, { device, reading, decision, always, signal });
      resolve(decision?.action ?? "missing");
    }
  }

  function decideFor(
    { peer, signal }: Waiting,
    { reading, device }: { readonly reading: WireGuardPeer; readonly device: WireGuardDevice },
  ): Verdict {
    const current = isNowhere(reading.endpoint) ? undefined : reading.endpoint;
    const monotonicMs = clock.monotonic();
    // Until the peer's handshake has come, or should have.
    if (!current && reading.endpoint && monotonicMs - (peer.yieldedAtMs ?? -Infinity) < YIELD_MS)
      return { action: "wait" };
    const decision = decide({
      liveness: peer.liveness,
      record: peer.record?.endpoints,
      own: deps.own(),
      isRecordNews: isNews(peer.newsAtMs, peer.observation),
      fallback: peer.fallback,
      protocol: peer.config.protocol,
      current,
      trial: peer.trial,
      monotonicMs,
    });
    const endpoint = decision.action === "set" ? decision.endpoint : current;
    if (decision.action === "leave" || !endpoint || !openings) return decision;
    if (openings.yields(peer, { device, signal })) return { action: "yield", endpoint: nowhere(endpoint.family) };
    return openings.isOurTurn(peer, { endpoint, device, signal }) ? decision : { action: "open" };
  }

  function carryOn(
    peer: PeerState,
    options: {
      readonly device: WireGuardDevice;
      readonly reading: WireGuardPeer;
      readonly decision: Verdict;
      readonly always: "send" | undefined;
      readonly signal: AbortSignal;
    },
  ): void {
    const { device, reading, decision, always, signal } = options;
    const { name } = peer.config;
    if (decision.action === "open" || decision.action === "yield" || decision.action === "wait") return;
    const endpoint = decision.endpoint ?? reading.endpoint;
    if (decision.action === "set" && decision.endpoint) {
      const previous = reading.endpoint && formatTransportAddress(reading.endpoint);
      log.info(
        { peer: name, endpoint: formatTransportAddress(decision.endpoint), ...(previous && { previous }) },
        "endpoint set",
      );
      const from = sameTransportAddress(decision.endpoint, peer.fallback) ? "remembered" : "record";
      peer.activity.written = { endpoint: decision.endpoint, from };
      peer.activity.counters.endpointWrites++;
    }
    if (endpoint && decision.action !== "leave" && !sameTransportAddress(endpoint, peer.trial?.endpoint)) {
      peer.trial = { endpoint, sinceMs: clock.monotonic() };
    }
    // Never without an endpoint: WireGuard would start a handshake that leads nowhere, and then wait 5 s before the next.
    if (endpoint && (decision.action !== "leave" || always)) track(packets.send(peer, { device, reading, signal }));
  }

  function track(work: Promise<void>): void {
    underWay.add(work);
    void work.finally(() => underWay.delete(work));
  }

  function settle(
    peer: PeerState,
    { always, signal }: { readonly always?: "send" | undefined; readonly signal: AbortSignal },
  ): Promise<Settled | "missing"> {
    return new Promise((resolve, reject) => {
      const waiting: Waiting = { peer, always, signal, resolve, reject };
      if (gathering) {
        gathering.push(waiting);
        return;
      }
      const batch = [waiting];
      gathering = batch;
      clock
        .sleep(GATHER_MS, signal)
        .finally(() => {
          gathering = undefined;
        })
        .then(() => settleAll(batch, signal))
        .catch((error: unknown) => {
          for (const { reject } of batch) reject(error);
        });
    });
  }

  return {
    observe,
    async idle() {
      await Promise.all(underWay);
    },
    provoke(peer, { device, signal }) {
      const reading = findPeer(device, peer);
      const nowMs = clock.monotonic();
      if (!reading?.endpoint || nowMs - (peer.provokedAtMs ?? Number.NEGATIVE_INFINITY) < PROVOKE_GAP_MS) return;
      peer.provokedAtMs = nowMs;
      track(packets.send(peer, { device, reading, signal }));
    },
    settle,
  };
}
