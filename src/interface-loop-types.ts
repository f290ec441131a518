/** What the loop of one interface is given, and what it can be asked. */
import type { CycleDeps } from "./cycle.ts";
import type { StateChange } from "./events.ts";
import type { ResolveTarget } from "./health/target.ts";
import type { NatReport } from "./nat.ts";
import type { DiscoveryCounters } from "./own-address.ts";
import type { PeerChange } from "./peer-change.ts";
import type { PeerState } from "./peer-state.ts";
import type { Occasion } from "./publishing.ts";
import type { Remembered } from "./remember.ts";
import type { InterfaceStatus } from "./status.ts";
import type { WireGuardDevice } from "./wg/types.ts";

export interface InterfaceLoopDeps
  extends Omit<CycleDeps, "onAnswer" | "onLateRecord" | "onOwnAddress" | "ping" | "nat" | "saveSequence"> {
  readonly refreshIntervalMs: number;
  readonly pollIntervalMaxMs: number;
  /** Quick looks at the store after a health check found a tunnel dead. */
  readonly fixedRetries: number;
  /** 0..1 */
  random(): number;
  /** Learns how the NAT maps, in the background, whenever the own address changed; undefined = not known. */
  observeMapping(device: WireGuardDevice, signal: AbortSignal): Promise<NatReport | undefined>;
  /** Addresses of a ping target that is a name. */
  readonly resolveTarget: ResolveTarget;
  /** What survives a restart; undefined = nothing does. */
  readonly memory?: Remembered | undefined;
  /** Told when a peer becomes something else. */
  readonly onState?: ((change: StateChange) => void) | undefined;
  /** Told when a tunnel comes up or goes down, or a peer's endpoint moves. */
  readonly onPeerChange?: ((change: PeerChange) => void) | undefined;
}

export interface InterfaceLoop {
  /** Resolves when the loop was stopped by its signal. Rejects with an error that waiting cannot help (errors.ts: fatal). */
  readonly ended: Promise<void>;
  /** What is known about each peer; to be handed to the loop that follows this one. */
  readonly peers: ReadonlyMap<string, PeerState>;
  readonly counters: DiscoveryCounters;
  /** Gives every peer (or the named ones) a turn now. */
  refresh(occasion: Occasion, names?: readonly string[]): void;
  /** The machine slept, or so it seems: tunnels are doubted. For so long the monotonic clock certainly stood still. */
  resume(missedMs: number): void;
  /** What is known now. Asks nobody. */
  status(): InterfaceStatus;
  /** Monotonic clock: when the loop went round last. It does every few seconds. */
  roundAtMs(): number;
}
