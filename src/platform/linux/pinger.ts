/**
 * Pings any number of targets behind one network interface with one raw ICMP socket.
 *
 * An answer counts only for the request it belongs to: same identifier, sequence number, target and data. A request is
 * settled once: by its answer, its time, the caller's signal or close(). RFC 792, RFC 4443 section 4, raw(7).
 */
import { randomBytes, randomInt } from "node:crypto";
import { formatIp, parseIp } from "../../address.ts";
import type { Clock } from "../../clock.ts";
import { echoReplyAlone, echoReplyOverIpv4 } from "../bpf.ts";
import { decodeEchoReply, decodeEchoReplyOverIpv4, encodeEchoRequest } from "../frame.ts";
import { systemCallFailed } from "../native/system-error.ts";
import type { Pinger, PingerOptions } from "../types.ts";
import { openRawSocket, type Packet } from "./raw-socket.ts";

const protocols = { ipv4: 1, ipv6: 58 } as const;
const IDENTIFIERS = 0x10000;
const SEQUENCES = 0x10000;
/** Random data, so that nobody off the path can make up an answer. */
const DATA_BYTES = 16;
/** The answers to 1,000 requests sent in one go wait here until the last is sent; the kernel counts about 800 bytes for each. */
const RECEIVE_BUFFER_BYTES = 1 << 20;

/** A request that is not settled yet. */
interface Probe {
  readonly sentAtMs: number;
  settle(roundTripMs: number | undefined): void;
}

/** Opens a pinger. Throws PERMISSION_DENIED, SYSTEM_CALL_FAILED (ENODEV: no such interface, ...) or NATIVE_UNAVAILABLE. */
export async function openPinger(options: PingerOptions, clock: Clock): Promise<Pinger> {
  const { family } = options;
  const identifier = randomInt(IDENTIFIERS);
  const data = new Uint8Array(randomBytes(DATA_BYTES));
  const probes = new Map<string, Probe>();
  let sequence = randomInt(SEQUENCES);
  let isClosed = false;

  function onPacket({ bytes, source }: Packet) {
    const echo = family === "ipv4" ? decodeEchoReplyOverIpv4(bytes) : decodeEchoReply(bytes);
    if (!echo || echo.identifier !== identifier || Buffer.compare(echo.data, data) !== 0) return;
    const probe = probes.get(keyOf(echo.sequence, formatIp(source)));
    probe?.settle(clock.monotonic() - probe.sentAtMs);
  }

  const socket = await openRawSocket({
    family,
    protocol: protocols[family],
    action: `open a raw ICMP socket on "${options.interface}"`,
    filter: family === "ipv4" ? echoReplyOverIpv4(identifier) : echoReplyAlone(identifier),
    interface: options.interface,
    receiveBufferBytes: RECEIVE_BUFFER_BYTES,
    clock,
    onPacket,
  });

  return {
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
        socket.send(encodeEchoRequest({ identifier, sequence, data }, family), { destination });
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
        settled.abort();
        signal.removeEventListener("abort", onAbort);
        probes.delete(key);
      }
    },
    async close() {
      isClosed = true;
      socket.close();
      for (const { settle } of probes.values()) settle(undefined);
    },
  };
}

function keyOf(sequence: number, target: string): string {
  return `${sequence} ${target}`;
}
