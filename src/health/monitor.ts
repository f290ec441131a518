/**
 * Pings the peers of one interface through their tunnels, each at its own interval, and tells when a verdict changes.
 *
 * A peer is probed only while it can be: without an endpoint or a session a ping would only make WireGuard start a
 * handshake that leads nowhere, and the handshake's age is the better witness then.
 */
import type { Family } from "../address.ts";
import type { Clock } from "../clock.ts";
import { describeError, isAbort } from "../errors.ts";
import type { Log } from "../log.ts";
import { createWake, type Wake } from "../wake.ts";
import { afterProbe, createHealth, type Health } from "./verdict.ts";

/** Between the two probes that confirm a miss. */
const CONFIRM_GAP_MS = 500;
/** How often a peer that cannot be probed is looked at again, if nobody says so before. */
const IDLE_MS = 1_000;

/** Probes begin at multiples of this, if the interval is not shorter than four of them. */
const GRID_MS = 250;

/** One peer to watch. */
export interface PingTarget {
  readonly name: string;
  readonly intervalMs: number;
  readonly timeoutMs: number;
  /** The address to ping now; undefined when its name does not resolve. */
  resolve(signal: AbortSignal): Promise<{ readonly family: Family; readonly target: string } | undefined>;
}

export interface HealthMonitor {
  /** What is known about a peer; undefined when it is not pinged, or not now. */
  health(name: string): Health | undefined;
  /** Probes a peer at once, not at its next interval. */
  probeNow(name: string): void;
}

export interface HealthMonitorOptions {
  readonly targets: readonly PingTarget[];
  readonly clock: Clock;
  readonly log: Log;
  /** Sends one echo request; as Provoker.provoke. */
  ping(
    target: { readonly family: Family; readonly target: string; readonly timeoutMs: number },
    signal: AbortSignal,
  ): Promise<number | undefined>;
  isProbeable(name: string): boolean;
  /** Its answer would say something about the tunnel. What is not pinged has no verdict. */
  isTarget(name: string, target: string): boolean;
  /** A probe that began then was answered. */
  onAnswer(name: string, askedAtMs: number): void;
  /** A probe was lost for the first time. */
  onMiss(name: string): void;
  onVerdict(name: string, health: Health): void;
}

/**
 * Milliseconds until the probe after the one that began at `startedMs`. Probes of different peers fall on the same moments,
 * four in an interval: waking up for each of them would cost more than the probes.
 */
export function untilNextProbe(options: {
  readonly startedMs: number;
  readonly nowMs: number;
  readonly intervalMs: number;
}): number {
  const { startedMs, nowMs, intervalMs } = options;
  const gridMs = Math.min(GRID_MS, intervalMs / 4);
  // To the nearest: a timer that is late by a little must not put off every probe after it.
  const nextMs = Math.round((startedMs + intervalMs) / gridMs) * gridMs;
  return Math.max(1, nextMs - nowMs);
}

/** Starts probing; ends when `signal` is aborted. */
export function startHealthMonitor(
  options: HealthMonitorOptions,
  signal: AbortSignal,
): HealthMonitor & {
  readonly ended: Promise<void>;
} {
  const { targets, clock, log } = options;
  const healths = new Map<string, Health>();
  const wakes = new Map<string, Wake>(targets.map(({ name }) => [name, createWake(clock)]));

  /** One probe, counted. Resolves with false when it was lost. A request that cannot be sent is a lost one. */
  async function probe(target: PingTarget): Promise<boolean> {
    const { name, timeoutMs } = target;
    let rttMs: number | undefined;
    let askedAtMs = clock.monotonic();
    try {
      const address = await target.resolve(signal);
      if (address && !options.isTarget(name, address.target)) {
        healths.delete(name);
        return true;
      }
      askedAtMs = clock.monotonic();
      if (address) rttMs = await options.ping({ ...address, timeoutMs }, signal);
    } catch (error) {
      if (isAbort(error)) throw error;
      log.debug({ peer: name, err: describeError(error) }, "ping could not be sent");
    }
    const before = healths.get(name) ?? createHealth(clock.monotonic());
    const after = afterProbe(before, rttMs, clock.monotonic());
    healths.set(name, after);
    if (rttMs !== undefined) options.onAnswer(name, askedAtMs);
    if (after.misses === 1) options.onMiss(name);
    if (after.verdict !== before.verdict) options.onVerdict(name, after);
    return rttMs !== undefined;
  }

  async function confirm(target: PingTarget): Promise<void> {
    const probeIfPossible = () => (options.isProbeable(target.name) ? probe(target) : undefined);
    const second = clock.sleep(CONFIRM_GAP_MS, signal).then(probeIfPossible);
    await Promise.all([probeIfPossible(), second]);
  }

  async function watch(target: PingTarget, wake: Wake): Promise<void> {
    for (;;) {
      const startedMs = clock.monotonic();
      let waitMs = IDLE_MS;
      if (options.isProbeable(target.name)) {
        const answered = await probe(target);
        if (!answered && healths.get(target.name)?.misses === 1) await confirm(target);
        waitMs = untilNextProbe({ startedMs, nowMs: clock.monotonic(), intervalMs: target.intervalMs });
      } else {
        healths.delete(target.name);
      }
      await wake.wait(waitMs, signal);
    }
  }

  const loops = targets.map((target) =>
    watch(target, wakes.get(target.name) ?? createWake(clock)).catch((error: unknown) => {
      if (!isAbort(error)) throw error;
    }),
  );
  return {
    health: (name) => healths.get(name),
    probeNow: (name) => wakes.get(name)?.wake(),
    ended: Promise.all(loops).then(() => undefined),
  };
}
