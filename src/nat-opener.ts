/**
 * Opens this side's NAT for a peer, from WireGuard's own port, and listens for the peer doing the same.
 *
 * What is sent is a STUN Binding indication (RFC 8489 section 3): it asks for no answer, and WireGuard drops it unread. It
 * says nothing but "I am here", to the address the peer published, and is not believed to say more: no endpoint is
 * learned from one. One that comes from a peer is answered with another, because what was sent before the other NAT
 * was open got lost.
 *
 * A socket costs the kernel a copy of each UDP datagram of the host, so it is open for half a minute after the news of a
 * peer that is not reachable, and never in a healthy mesh.
 */
import { type Family, sameTransportAddress, type TransportAddress } from "./address.ts";
import type { Clock } from "./clock.ts";
import { describeError, isAbort } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Datagram, ProbeSocket } from "./platform/types.ts";
import type { WireGuardDevice } from "./wg/types.ts";

/** When indications are sent, from the beginning: often while the other side may open at any moment, then now and then. The last is when a peer has looked at its store at the latest. */
const SENT_AT_MS = [0, 300, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000] as const;
/** At most so many answers for one opening, and so far apart: a peer sends eight by itself. */
const MAX_ANSWERS = 8;
const ANSWER_GAP_MS = 200;

export interface NatOpener {
  /**
   * Begins to open the NAT for `endpoint`, for half a minute or until `signal` is aborted. `onHeard` is called for each
   * indication that comes from its IP address. Never throws: what cannot be sent is logged, and the peer is tried without.
   */
  open(
    device: WireGuardDevice,
    options: { readonly endpoint: TransportAddress; readonly signal: AbortSignal; onHeard(): void },
  ): Promise<void>;
}

export interface NatOpenerOptions {
  openSocket(
    device: WireGuardDevice,
    options: { readonly family: Family; onDatagram(datagram: Datagram): void },
  ): Promise<ProbeSocket>;
  /** A new Binding indication. */
  createIndication(): Uint8Array;
  isIndication(payload: Uint8Array): boolean;
  readonly clock: Clock;
  readonly log: Log;
}

/** All openings from one port in one family share a socket. */
interface Shared {
  readonly port: number;
  readonly socket: Promise<ProbeSocket>;
  readonly listeners: Set<(datagram: Datagram) => void>;
}

export function createNatOpener({
  openSocket,
  createIndication,
  isIndication,
  clock,
  log,
}: NatOpenerOptions): NatOpener {
  const open = new Map<Family, Shared>();

  function join(device: WireGuardDevice, family: Family): Shared {
    const known = open.get(family);
    if (known && known.port === device.listenPort) return known;
    const listeners: Shared["listeners"] = new Set();
    const onDatagram = (datagram: Datagram) => {
      for (const listener of listeners) listener(datagram);
    };
    const shared = { port: device.listenPort, listeners, socket: openSocket(device, { family, onDatagram }) };
    open.set(family, shared);
    return shared;
  }

  async function leave(
    family: Family,
    { shared, listener }: { shared: Shared; listener: (datagram: Datagram) => void },
  ) {
    shared.listeners.delete(listener);
    if (shared.listeners.size > 0) return;
    if (open.get(family) === shared) open.delete(family);
    await shared.socket.then(
      (socket) => socket.close(),
      () => undefined, // it was never open; who waited for it was told
    );
  }

  return {
    async open(device, { endpoint, signal, onHeard }) {
      const { family } = endpoint;
      const shared = join(device, family);
      let answers = 0;
      let answeredAtMs = Number.NEGATIVE_INFINITY;
      async function send(): Promise<void> {
        const socket = await shared.socket;
        await socket.send(createIndication(), endpoint);
      }
      function listener({ payload, from }: Datagram): void {
        // From another port of the same address too: the peer's NAT may map each destination to its own.
        if (!sameTransportAddress({ ...from, port: endpoint.port }, endpoint) || !isIndication(payload)) return;
        onHeard();
        if (answers >= MAX_ANSWERS || clock.monotonic() - answeredAtMs < ANSWER_GAP_MS) return;
        answers++;
        answeredAtMs = clock.monotonic();
        send().catch(report);
      }
      function report(error: unknown): void {
        if (!isAbort(error)) log.debug({ err: describeError(error) }, "nat could not be opened for a peer");
      }
      shared.listeners.add(listener);
      try {
        const beganMs = clock.monotonic();
        for (const atMs of SENT_AT_MS) {
          await clock.sleep(Math.max(0, beganMs + atMs - clock.monotonic()), signal);
          await send();
        }
      } catch (error) {
        report(error);
      } finally {
        await leave(family, { shared, listener }).catch(report);
      }
    },
  };
}
