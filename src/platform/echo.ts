/**
 * The echo requests of one ICMP socket and the answers that belong to them. Pure bookkeeping: it owns no socket.
 *
 * An answer counts only for the request it belongs to: same identifier, sequence number, target and data. A request is
 * settled once: by its answer, its time, the caller's signal or close(). RFC 792, RFC 4443 section 4.
 */
import { randomBytes, randomInt } from "node:crypto";
import { type Family, formatIp, parseIp } from "../address.ts";
import type { Clock } from "../clock.ts";
import { type Echo, encodeEchoRequest } from "./frame.ts";
import { systemCallFailed } from "./native/system-error.ts";
import type { Pinger } from "./types.ts";

export const icmpProtocols = { ipv4: 1, ipv6: 58 } as const;

const IDENTIFIERS = 0x10000;
const SEQUENCES = 0x10000;
/** Random data, so that nobody off the path can make up an answer. */
const DATA_BYTES = 16;
/** Stops a timer. Made once: an abort without a reason makes an error with a stack each time. */
const SETTLED = new DOMException("settled", "AbortError");

export interface EchoExchange {
  /** What all requests have in common: filters may ask for it. */
  readonly identifier: number;
  readonly ping: Pinger["ping"];
  /** Takes an echo reply from the IP address `source` (4 or 16 bytes). */
  onReply(reply: Echo, source: Uint8Array): void;
  /** Settles what is outstanding as not answered; nothing is sent any more. */
  close(): void;
}

interface EchoOptions {
  readonly family: Family;
  /** For errors: the name of the interface. */
  readonly interface: string;
  readonly clock: Clock;
  /** Sends an ICMP message to an IP address of 4 or 16 bytes. Throws the system's error. */
  send(message: Uint8Array, destination: Uint8Array): void;
}

/** A request that is not settled yet. */
interface Probe {
  readonly sentAtMs: number;
  settle(roundTripMs: number | undefined): void;
}

/** Creates the bookkeeping, with an identifier and data of its own. */
export function createEchoExchange(options: EchoOptions): EchoExchange {
  const { family, clock } = options;
  const identifier = randomInt(IDENTIFIERS);
  const data = new Uint8Array(randomBytes(DATA_BYTES));
  const probes = new Map<string, Probe>();
  let sequence = randomInt(SEQUENCES);
  let isClosed = false;

  return {
    identifier,
    async ping(target, { timeoutMs, signal }) {
      signal.throwIfAborted();
      const destination = parseIp(target);
      if (destination?.length !== (family === "ipv4" ? 4 : 16)) {
        throw new RangeError(`Cannot ping "${target}": it is no address of the pinger's family ${family}`);
      }
      if (isClosed) return undefined;
      sequence = (sequence + 1) % SEQUENCES;
      const key = keyOf(sequence, formatIp(destination));
      const sentAtMs = clock.monotonic();
      try {
        options.send(encodeEchoRequest({ identifier, sequence, data }, family), destination);
      } catch (cause) {
        throw systemCallFailed(`ping ${target} through "${options.interface}"`, cause);
      }
      const settled = new AbortController();
      let onAbort: () => void = () => undefined;
      try {
        return await new Promise((resolve, reject) => {
          onAbort = () => reject(signal.reason);
          signal.addEventListener("abort", onAbort, { once: true });
          probes.set(key, { sentAtMs, settle: resolve });
          clock.sleep(timeoutMs, settled.signal).then(() => resolve(undefined), reject);
        });
      } finally {
        settled.abort(SETTLED);
        signal.removeEventListener("abort", onAbort);
        probes.delete(key);
      }
    },
    onReply(reply, source) {
      if (reply.identifier !== identifier || Buffer.compare(reply.data, data) !== 0) return;
      const probe = probes.get(keyOf(reply.sequence, formatIp(source)));
      probe?.settle(clock.monotonic() - probe.sentAtMs);
    },
    close() {
      isClosed = true;
      for (const { settle } of probes.values()) settle(undefined);
    },
  };
}

function keyOf(sequence: number, target: string): string {
  return `${sequence} ${target}`;
}
