/**
 * Makes WireGuard send: one ICMP echo request through the tunnel. WireGuard sends nothing by itself when an endpoint
 * changes, and the NAT on this side opens only for what goes out.
 */
import type { Family } from "./address.ts";
import type { Clock } from "./clock.ts";
import { isAbort } from "./errors.ts";
import type { Pinger } from "./platform/types.ts";
import type { ProvokeTarget } from "./provoke-target.ts";

/** How long an answer is waited for: long enough for a handshake and a round trip, and no more than that. */
const ANSWER_TIMEOUT_MS = 2_000;

export interface Provoker {
  /**
   * Sends one echo request; resolves with the round-trip time in ms, or undefined when nothing came back in `timeoutMs`.
   * Rejects when it could not be sent.
   * @default timeoutMs 2000
   */
  provoke(
    request: { readonly family: Family; readonly target: string; readonly timeoutMs?: number },
    signal: AbortSignal,
  ): Promise<number | undefined>;
}

/**
 * Pings the first of `targets` to which a packet can be sent; what cannot be sent to one (no route, no address of the
 * family) is sent to the next. Rejects with the first failure when it cannot be sent to any.
 */
export async function provokeAny(
  provoker: Provoker,
  { targets, signal }: { readonly targets: readonly ProvokeTarget[]; readonly signal: AbortSignal },
): Promise<{ readonly target: string; readonly rttMs: number | undefined }> {
  const failures: unknown[] = [];
  for (const target of targets) {
    try {
      return { target: target.target, rttMs: await provoker.provoke(target, signal) };
    } catch (error) {
      if (isAbort(error)) throw error;
      failures.push(error);
    }
  }
  throw failures[0];
}

/** How long a socket waits for the next request. Opening one takes more work than a hundred pings. */
const LINGER_MS = 10_000;

interface Shared {
  readonly pinger: Promise<Pinger>;
  users: number;
  wasUsed: boolean;
}

/**
 * A provoker for one WireGuard interface. All requests of a family share one socket, which is closed when none came for a
 * while. After a request that failed or was not answered the next one opens another: the interface may be a new one.
 */
export function createProvoker(options: {
  /** Opens a pinger of the interface as it is called at that moment. */
  openPinger(family: Family): Promise<Pinger>;
  readonly clock: Clock;
}): Provoker {
  const open = new Map<Family, Shared>();

  function share(family: Family): Shared {
    const known = open.get(family);
    if (known) return known;
    const shared = { pinger: options.openPinger(family), users: 0, wasUsed: true };
    open.set(family, shared);
    void giveUpWhenIdle(family, shared);
    return shared;
  }

  async function giveUpWhenIdle(family: Family, shared: Shared): Promise<void> {
    while (shared.wasUsed || shared.users > 0) {
      shared.wasUsed = false;
      await options.clock.sleep(LINGER_MS);
      if (open.get(family) !== shared) return;
    }
    open.delete(family);
    await closePinger(shared);
  }

  return {
    async provoke({ family, target, timeoutMs = ANSWER_TIMEOUT_MS }, signal) {
      const shared = share(family);
      shared.users++;
      shared.wasUsed = true;
      let isGood = false;
      try {
        const pinger = await shared.pinger;
        const rttMs = await pinger.ping(target, { timeoutMs, signal });
        isGood = rttMs !== undefined;
        return rttMs;
      } finally {
        shared.users--;
        if (!isGood && open.get(family) === shared) open.delete(family);
        if (shared.users === 0 && open.get(family) !== shared) await closePinger(shared);
      }
    },
  };
}

async function closePinger({ pinger }: Shared): Promise<void> {
  await pinger.then(
    (opened) => opened.close(),
    // It was never open; who asked for it was told.
    () => undefined,
  );
}
