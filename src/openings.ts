/** Opens the own NAT for the peers of one interface, and says whose turn it is to make WireGuard start a handshake. */
import { formatTransportAddress, type TransportAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import { describeError, isAbort } from "./errors.ts";
import { actsAtMs, continueOpening, isInStep, type Opening, patienceWith, YIELD_MS } from "./initiative.ts";
import type { Log } from "./log.ts";
import type { NatOpener } from "./nat-opener.ts";
import type { PeerState } from "./peer-state.ts";
import type { NatClass } from "./record.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** Made once: an abort without a reason makes an error with a stack each time. */
const ENDED = new DOMException("no longer needed", "AbortError");

export interface Openings {
  /**
   * True when this side is to act now on `endpoint`. Else the peer is left to act for a moment, and `settle` is called when
   * that is over. Either way the own NAT is opened for the endpoint, unless it is already.
   */
  isOurTurn(
    peer: PeerState,
    options: { readonly endpoint: TransportAddress; readonly device: WireGuardDevice; readonly signal: AbortSignal },
  ): boolean;
  /** True when this side has to keep still for a moment, as `isInStep` says; `settle` is called when that is over. */
  yields(peer: PeerState, options: { readonly device: WireGuardDevice; readonly signal: AbortSignal }): boolean;
  /** Stops opening the NAT for a peer: it is reachable, or somewhere else. */
  end(peer: PeerState): void;
}

export function createOpenings(deps: {
  readonly natOpener: NatOpener;
  readonly clock: Clock;
  readonly log: Log;
  /** The own NAT, as far as it is known. */
  readonly nat?: (() => NatClass | undefined) | undefined;
  /** Decides about a peer again. */
  settle(peer: PeerState, signal: AbortSignal): Promise<unknown>;
  /** Is told of work that goes on by itself, and never rejects. */
  track(work: Promise<void>): void;
}): Openings {
  const { natOpener, clock, log } = deps;
  const stops = new Map<PeerState, AbortController>();
  const laterAtMs = new Map<PeerState, number>();

  function end(peer: PeerState): void {
    stops.get(peer)?.abort(ENDED);
    stops.delete(peer);
    delete peer.opening;
  }

  function begin(
    peer: PeerState,
    options: { readonly opening: Opening; readonly device: WireGuardDevice; readonly signal: AbortSignal },
  ): void {
    const { opening, device, signal } = options;
    const { endpoint } = opening;
    const { name } = peer.config;
    end(peer);
    peer.opening = opening;
    const stop = new AbortController();
    const onAbort = () => stop.abort(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    stops.set(peer, stop);
    log.debug({ peer: name, endpoint: formatTransportAddress(endpoint) }, "opening the nat for a peer");
    function onHeard(): void {
      if (peer.opening !== opening) return;
      peer.opening = { ...opening, heardAtMs: clock.monotonic() };
      log.debug({ peer: name, endpoint: formatTransportAddress(endpoint) }, "the peer opens its nat");
      void settleLater(peer, { waitMs: 0, signal });
    }
    const opened = natOpener.open(device, { endpoint, signal: stop.signal, onHeard }).finally(() => {
      signal.removeEventListener("abort", onAbort);
      if (stops.get(peer) === stop) stops.delete(peer);
    });
    deps.track(opened);
  }

  /** One wait for each peer is enough: what it is for is looked at when it is over. */
  async function settleLater(
    peer: PeerState,
    { waitMs, signal }: { readonly waitMs: number; readonly signal: AbortSignal },
  ): Promise<void> {
    const dueAtMs = clock.monotonic() + waitMs;
    if ((laterAtMs.get(peer) ?? Number.POSITIVE_INFINITY) <= dueAtMs) return;
    laterAtMs.set(peer, dueAtMs);
    try {
      await clock.sleep(waitMs, signal);
      if (laterAtMs.get(peer) !== dueAtMs) return;
      laterAtMs.delete(peer);
      await deps.settle(peer, signal);
    } catch (error) {
      // The peer's next turn tries again, and says what fails.
      if (!isAbort(error)) log.debug({ peer: peer.config.name, err: describeError(error) }, "peer not settled");
    }
  }

  return {
    end,
    yields(peer, { device, signal }) {
      const monotonicMs = clock.monotonic();
      const { publicKey: peerKey } = peer.config;
      const { record, liveness, observation, trial, yieldedAtMs } = peer;
      const known = { record, liveness, observation, trial, yieldedAtMs, monotonicMs };
      if (!isInStep({ ownKey: device.publicKey, peerKey, ...known })) return false;
      peer.yieldedAtMs = monotonicMs;
      log.debug({ peer: peer.config.name }, "handshakes are in step: the next one is left to the peer");
      void settleLater(peer, { waitMs: YIELD_MS, signal });
      return true;
    },
    isOurTurn(peer, { endpoint, device, signal }) {
      const monotonicMs = clock.monotonic();
      const opening = continueOpening(peer.opening, { endpoint, newsAtMs: peer.newsAtMs, monotonicMs });
      if (opening !== peer.opening) begin(peer, { opening, device, signal });
      const patience = patienceWith({
        ownKey: device.publicKey,
        peerKey: peer.config.publicKey,
        record: peer.record,
        ownNat: deps.nat?.(),
        observation: peer.observation,
        aliveAtMs: peer.aliveAtMs,
        monotonicMs,
      });
      const waitMs = patience ? actsAtMs(opening, patience) - monotonicMs : 0;
      if (waitMs <= 0) return true;
      void settleLater(peer, { waitMs, signal });
      return false;
    },
  };
}
