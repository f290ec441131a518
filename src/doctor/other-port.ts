/** A probe socket on a port of its own, which needs no privilege: to compare with what WireGuard's port sees. udp(7). */
import { createSocket } from "node:dgram";
import { connect } from "node:net";
import { type Family, formatTransportAddress, type TransportAddress, transportAddress } from "../address.ts";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { StunmeshError } from "../errors.ts";
import type { Datagram, ProbeSocket } from "../platform/types.ts";

const TCP_TIMEOUT_MS = 2_000;

/** Opens a UDP socket on a port the system chooses. Throws SYSTEM_CALL_FAILED. */
export function openOtherPort(family: Family, onDatagram: (datagram: Datagram) => void): Promise<ProbeSocket> {
  const socket = createSocket({ type: family === "ipv4" ? "udp4" : "udp6", ipv6Only: family === "ipv6" });
  const failed = (action: string, cause: Error) =>
    new StunmeshError("SYSTEM_CALL_FAILED", `Cannot ${action}: ${cause.message}`, { cause });
  socket.on("message", (payload, { address, port }) => {
    const from = transportAddress(address, port);
    if (from) onDatagram({ payload, from });
  });
  return new Promise((resolve, reject) => {
    socket.once("error", (cause) => reject(failed("open a UDP socket", cause)));
    socket.bind(0, () => {
      // Later errors are those of single datagrams (ICMP), which sending reports or silence shows.
      socket.on("error", () => undefined);
      resolve({
        send: (payload, to) =>
          new Promise((sent, refused) => {
            socket.send(payload, to.port, to.host, (cause) => {
              if (cause) refused(failed(`send a datagram to ${formatTransportAddress(to)}`, cause));
              else sent();
            });
          }),
        close: () => new Promise((closed) => socket.close(() => closed())),
      });
    });
  });
}

/** Whether anybody answers there by TCP, if only to refuse: the network is up as far as there. Never rejects but on abort. */
export async function isReachedByTcp(
  { host, port }: TransportAddress,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<boolean> {
  const socket = connect({ host, port });
  try {
    const action = "connect";
    return await withDeadline({ clock, signal, action, timeoutMs: TCP_TIMEOUT_MS }, () => {
      return new Promise<boolean>((resolve) => {
        socket.once("connect", () => resolve(true));
        socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
      });
    });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof StunmeshError) return false;
    throw error;
  } finally {
    socket.destroy();
  }
}
