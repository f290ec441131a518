/**
 * Hairpinning: does the NAT send back what comes from inside to its own outside address? RFC 4787 section 6. Needed by two
 * hosts behind the same NAT.
 */
import { randomBytes } from "node:crypto";
import type { TransportAddress } from "../address.ts";
import type { Clock } from "../clock.ts";
import type { Datagram, ProbeSocket } from "../platform/types.ts";
import { encodeBindingRequest, readTransactionId, transactionIdBytes } from "./message.ts";
import { waitAtMost } from "./wait.ts";

const WAIT_MS = 400;
const SENDS = 2;

type OpenSocket = (onDatagram: (datagram: Datagram) => void) => Promise<ProbeSocket>;

/**
 * Sends a Binding request from another port of this host to `mapped`, the public address of the port that `openListener`
 * listens on: true when it arrives there. Throws what opening throws, and the signal's reason when aborted.
 */
export async function observeHairpinning(options: {
  readonly mapped: TransportAddress;
  readonly openListener: OpenSocket;
  readonly openSender: OpenSocket;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}): Promise<boolean> {
  const { mapped, openListener, openSender } = options;
  const transactionId = randomBytes(transactionIdBytes);
  let onArrival: (arrived: true) => void = () => undefined;
  const arrival = new Promise<true>((resolve) => {
    onArrival = resolve;
  });
  const listener = await openListener(({ payload }) => {
    const id = readTransactionId(payload);
    if (id && Buffer.compare(id, transactionId) === 0) onArrival(true);
  });
  try {
    const sender = await openSender(() => undefined);
    try {
      for (let sends = 0; sends < SENDS; sends++) {
        await sender.send(encodeBindingRequest(transactionId), mapped);
        if (await waitAtMost(arrival, { ...options, ms: WAIT_MS })) return true;
      }
      return false;
    } finally {
      await sender.close();
    }
  } finally {
    await listener.close();
  }
}
