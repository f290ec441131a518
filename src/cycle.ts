/**
 * What a refresh is. Read this first.
 *
 * For one interface: learn the own public address from WireGuard's port, seal it for the peer and leave it in the store,
 * read what the peer left there, and tell WireGuard where the peer is, unless the tunnel works already. Peers share one
 * discovery and are otherwise independent: what fails or hangs for one does not delay another.
 */
import type { EndpointRecord, TransportAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import type { InterfaceConfig, PeerConfig } from "./config/types.ts";
import { isNews } from "./convergence.ts";
import { settledWithin } from "./deadline.ts";
import { isAbort } from "./errors.ts";
import { fetchRecord, type NamedStore, publishRecord } from "./exchange.ts";
import { createFailureLog } from "./failures.ts";
import type { Log } from "./log.ts";
import type { NatOpener } from "./nat-opener.ts";
import { createOwnAddress, type Discover, type DiscoveryCounters, type OwnAddress } from "./own-address.ts";
import { createPeerState, type PeerState } from "./peer-state.ts";
import type { Provoker } from "./provoke.ts";
import type { HostAddresses } from "./provoke-target.ts";
import type { Occasion } from "./publishing.ts";
import { type NatClass, sameEndpoints } from "./record.ts";
import { createSettler, type Settled, type Settler } from "./settle.ts";
import type { WireGuardControl, WireGuardDevice } from "./wg/types.ts";

/** How long fetching waits for publishing. The peer should find our record when it acts on its own, but a hung store must not keep us from reading. */
const PUBLISH_HEAD_START_MS = 2_000;

export interface CycleDeps {
  readonly config: InterfaceConfig;
  readonly wireguard: WireGuardControl;
  readonly discover: Discover;
  readonly provoker: Provoker;
  /** The addresses this host has now. */
  hostAddresses(): HostAddresses;
  readonly stores: ReadonlyMap<string, NamedStore>;
  readonly clock: Clock;
  readonly log: Log;
  readonly discoveryCounters?: DiscoveryCounters | undefined;
  /** Verdict of a health check through the tunnel; undefined = none. */
  readonly ping?: (peer: PeerState) => "answered" | "missed" | undefined;
  /** What is known about a peer already, from before a restart or a reload. */
  readonly restore?: ((peer: PeerConfig) => PeerState | undefined) | undefined;
  /** The own NAT, as far as it is known; the peers are told. */
  readonly nat?: (() => NatClass | undefined) | undefined;
  /** Has the sequence numbers written to the disk; resolves when they are, or cannot be. */
  readonly saveSequence?: (() => Promise<void>) | undefined;
  /** Opens the own NAT while a peer is left to make the first handshake; undefined = act at once. */
  readonly natOpener?: NatOpener | undefined;
  /** Called when a packet through the tunnel was answered. */
  onAnswer(peer: PeerState): void;
  /** Called when a slow store had another record after a look had gone on without it. */
  readonly onLateRecord?: ((peer: PeerState) => void) | undefined;
  /** Called when the own addresses are new or changed. */
  onOwnAddress(device: WireGuardDevice, own: EndpointRecord): void;
}

export interface RefreshRequest {
  readonly device: WireGuardDevice;
  readonly occasion: Occasion;
  /** An own address this young is good enough; 0 = discover now. */
  readonly maxDiscoveryAgeMs: number;
  /** Wait for every store, as a command does that ends afterwards. @default false */
  readonly waitForAll?: boolean;
  readonly signal: AbortSignal;
}

/** How a refresh of one peer ended. */
export interface PeerOutcome {
  readonly peer: string;
  readonly published: "published" | "unchanged" | "failed";
  /** `skipped`: the tunnel works, so there was nothing to ask. */
  readonly fetched: "changed" | "unchanged" | "absent" | "skipped" | "failed";
  /** What was done to the endpoint; `missing`: the peer is not on the device. */
  readonly settled: Settled | "missing" | "failed";
  /** The first thing that failed, for a person. */
  readonly error?: unknown;
}

export interface EstablishOutcome extends Pick<PeerOutcome, "fetched" | "settled"> {
  readonly endpoint: TransportAddress | undefined;
}

export interface Cycle {
  /** State of every configured peer, by name. */
  readonly peers: ReadonlyMap<string, PeerState>;
  readonly own: OwnAddress;
  readonly observe: Settler["observe"];
  readonly provoke: Settler["provoke"];
  readonly idle: Settler["idle"];
  /** Refreshes one peer. Rejects only when aborted; every failure is logged and in the outcome. */
  refreshPeer(peer: PeerState, request: RefreshRequest): Promise<PeerOutcome>;
  /** The first half alone: discover and publish. Throws what fails. */
  publish(peer: PeerState, request: RefreshRequest): Promise<PeerOutcome["published"]>;
  /** The second half alone: fetch and settle. Throws what fails; `endpoint` is WireGuard's afterwards. */
  establish(peer: PeerState, request: RefreshRequest): Promise<EstablishOutcome>;
}

export function createCycle(deps: CycleDeps): Cycle {
  const { config, clock, log, stores } = deps;
  const own = createOwnAddress({ ...deps, onChange: deps.onOwnAddress, counters: deps.discoveryCounters });
  const settler = createSettler({ ...deps, interface: config.name, own: own.current });
  const failures = createFailureLog(log);
  const peers = new Map(config.peers.map((peer) => [peer.name, deps.restore?.(peer) ?? createPeerState(peer)]));

  async function publish(peer: PeerState, request: RefreshRequest): Promise<"published" | "unchanged"> {
    const { device, maxDiscoveryAgeMs, occasion, waitForAll, signal } = request;
    const addresses = await own.learn(device, { maxAgeMs: maxDiscoveryAgeMs, signal });
    const { saveSequence } = deps;
    return publishRecord(peer, {
      device,
      own: addresses,
      nat: deps.nat?.(),
      occasion,
      signal,
      stores,
      clock,
      log,
      failures,
      saveSequence,
      waitForAll,
    });
  }

  async function fetch(
    peer: PeerState,
    { device, occasion, waitForAll, signal }: RefreshRequest,
  ): Promise<PeerOutcome["fetched"]> {
    if (peer.liveness === "alive" && occasion !== "suspicion") return "skipped";
    let result: "changed" | "unchanged" | "absent" | "failed" = "failed";
    try {
      result = await fetchRecord(peer, {
        device,
        own: own.current(),
        signal,
        stores,
        clock,
        log,
        failures,
        waitForAll,
        tunnelAddresses: () => deps.hostAddresses().tunnel,
        onLateRecord: deps.onLateRecord,
      });
      return result;
    } finally {
      peer.activity.fetch = { atMs: clock.monotonic(), wallMs: clock.now(), result };
    }
  }

  /** Runs one step of a refresh and keeps a failure in `errors`. Aborting is no failure. */
  async function step<T>(errors: unknown[], run: () => Promise<T>): Promise<T | "failed"> {
    try {
      return await run();
    } catch (error) {
      if (isAbort(error)) throw error;
      errors.push(error);
      return "failed";
    }
  }

  async function settle(
    peer: PeerState,
    { moved, signal }: { readonly moved: boolean; readonly signal: AbortSignal },
  ): Promise<PeerOutcome["settled"]> {
    const fields = { peer: peer.config.name };
    try {
      const settled = await settler.settle(peer, { always: moved ? "send" : undefined, signal });
      failures.ended(`settle ${peer.config.name}`, { message: "WireGuard can be told again", fields });
      return settled;
    } catch (error) {
      if (!isAbort(error)) {
        failures.failed(`settle ${peer.config.name}`, error, { message: "WireGuard could not be told", fields });
      }
      throw error;
    }
  }

  async function refreshPeer(peer: PeerState, request: RefreshRequest): Promise<PeerOutcome> {
    const { signal } = request;
    const errors: unknown[] = [];
    const before = lastPublished(peer);
    // The lost ping before has found out already where the peer is now: no store is waited for to use that.
    if (request.occasion === "failure" && isNews(peer.newsAtMs, peer.observation)) {
      await step([], () => settle(peer, { moved: false, signal }));
    }
    const publishing = step(errors, () => publish(peer, request));
    await settledWithin(publishing, { clock, ms: PUBLISH_HEAD_START_MS, signal });
    const fetched = await step(errors, () => fetch(peer, request));
    const moved = movedSince(before);
    let settled = await step(errors, () => settle(peer, { moved, signal }));
    const published = await publishing;
    // Publishing took longer than its head start and brought a new address only now.
    if (!moved && movedSince(before)) {
      settled = await step(errors, () => settle(peer, { moved: true, signal }));
    }
    const [error] = errors;
    return { peer: peer.config.name, published, fetched, settled, ...(error !== undefined && { error }) };
  }

  /** True when the own address is another than the one a peer was told before: our NAT has to be opened for it again. */
  function movedSince(before: EndpointRecord | undefined): boolean {
    return before !== undefined && !sameEndpoints(before, own.current());
  }

  return {
    peers,
    own,
    observe: settler.observe,
    provoke: settler.provoke,
    idle: settler.idle,
    refreshPeer,
    publish,
    async establish(peer, request) {
      const fetched = await fetch(peer, request);
      const settled = await settle(peer, { moved: false, signal: request.signal });
      // Who runs one command and ends must not end before the packet that opens the NAT is out.
      await settler.idle();
      return { fetched, settled, endpoint: peer.trial?.endpoint ?? peer.observation?.endpoint };
    },
  };
}

/** The address the peer was told last, through any of its stores. */
function lastPublished({ published }: PeerState): EndpointRecord | undefined {
  return [...published.values()].sort((a, b) => b.atMs - a.atMs)[0]?.endpoints;
}
