/**
 * Binding transactions over one datagram channel: retransmission, and which datagram counts as the answer to which request.
 *
 * Invariant: a datagram counts only if its transaction ID and its source address and port are those of a pending
 * request (or the other ones of the server, for a request that asked for just that) and it is a well-formed Binding success or error response. Anything else is ignored and listening goes on, so
 * that neither a stray nor a forged message ends or falsifies a transaction.
 *
 * RFC 8489 sections 6.2.1 (retransmission) and 6.3 (receiving).
 */
import { formatTransportAddress, type TransportAddress } from "../address.ts";
import type { Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import type { Datagram } from "../platform/types.ts";
import { attributeName, type StunAddress } from "./attributes.ts";
import {
  bindingMethod,
  type ChangeRequest,
  decodeMessage,
  encodeBindingRequest,
  readTransactionId,
  type StunMessage,
  transactionIdBytes,
} from "./message.ts";
import type { Trouble } from "./servers.ts";
import { waitAtMost } from "./wait.ts";

const RTO_MS = 500;
/** Rc: how often a request is sent. */
const SENDS = 7;
/** Rm: how many RTO the last request is waited for. */
const LAST_WAIT_RTOS = 16;

/** How long to wait after each send: 0.5, 1, 2, 4, 8, 16, 8 s. */
const waitsMs: readonly number[] = Array.from({ length: SENDS }, (_, index) =>
  index === SENDS - 1 ? RTO_MS * LAST_WAIT_RTOS : RTO_MS * 2 ** index,
);

/** Tells why there is no answer yet; the last call is why there was none. */
export type OnTrouble = (trouble: Trouble) => void;

const silent: Trouble = { kind: "silent", reason: "no answer" };

export interface BindingAnswer {
  readonly mapped: StunAddress;
  readonly otherAddress: StunAddress | undefined;
  /** Since the first send: too long when a datagram was lost. */
  readonly rttMs: number;
}

/** An answer from another place than was asked: the only one that then counts. */
export interface Elsewhere {
  readonly change: ChangeRequest;
  /** The address and port of the server's that this means, from its OTHER-ADDRESS. */
  readonly from: TransportAddress;
}

interface TransactionsOptions {
  send(payload: Uint8Array, to: TransportAddress): Promise<void>;
  readonly clock: Clock;
  randomBytes(count: number): Uint8Array;
}

export interface Transactions {
  /**
   * Asks `server` for our mapped address. Resolves with undefined when the server refused or never answered; a send that
   * failed is tried again at the next retransmission. Rejects only with the signal's reason.
   */
  ask(
    server: TransportAddress,
    options: {
      readonly signal: AbortSignal;
      readonly onTrouble: OnTrouble;
      readonly elsewhere?: Elsewhere | undefined;
    },
  ): Promise<BindingAnswer | undefined>;
  /** Takes every datagram that came in; never throws. */
  onDatagram(datagram: Datagram): void;
}

/** How a transaction ended before its time. */
interface Ended {
  readonly message?: StunMessage & { readonly mapped: StunAddress };
}

/** Makes the transactions of one channel. Any number of them may run at the same time. */
export function createTransactions({ send, clock, randomBytes }: TransactionsOptions): Transactions {
  const pending = new Map<string, (payload: Uint8Array) => void>();
  return {
    async ask(server, { signal, onTrouble, elsewhere }) {
      const transactionId = randomBytes(transactionIdBytes);
      const request = encodeBindingRequest(transactionId, elsewhere?.change);
      const key = pendingKey(transactionId, elsewhere?.from ?? server);
      const startedMs = clock.monotonic();
      let wasSent = false;
      let failedToSend = false;
      const sendOnce = () =>
        send(request, server).then(
          () => {
            if (!wasSent && failedToSend) onTrouble(silent);
            wasSent = true;
          },
          (cause: unknown) => {
            failedToSend = true;
            if (!wasSent) onTrouble({ kind: "not sent", reason: `not sent (${describeError(cause)})`, cause });
          },
        );
      onTrouble(silent);
      const ended = new Promise<Ended>((resolve) => {
        pending.set(key, (payload) => {
          wasSent = true;
          const end = readAnswer(payload, onTrouble);
          if (end) resolve(end);
        });
      });
      try {
        for (const ms of waitsMs) {
          // Not waited for: a send that hangs must not stop the retransmission.
          void sendOnce();
          const end = await waitAtMost(ended, { clock, ms, signal });
          if (!end) continue;
          if (!end.message) return undefined;
          const { mapped, otherAddress } = end.message;
          return { mapped, otherAddress, rttMs: clock.monotonic() - startedMs };
        }
        return undefined;
      } finally {
        pending.delete(key);
      }
    },
    onDatagram({ payload, from }) {
      const transactionId = readTransactionId(payload);
      if (transactionId) pending.get(pendingKey(transactionId, from))?.(payload);
    },
  };
}

/** Both must match (RFC 8489 6.3.1 and the 5-tuple), so both are what is looked up. */
function pendingKey(transactionId: Uint8Array, server: TransportAddress): string {
  return `${Buffer.from(transactionId).toString("hex")} ${formatTransportAddress(server)}`;
}

/** What a datagram from the server we asked, with our transaction ID, means: undefined = ignore it and go on listening. */
function readAnswer(payload: Uint8Array, onTrouble: OnTrouble): Ended | undefined {
  const refuse = (reason: string): Ended => {
    onTrouble({ kind: "unusable", reason });
    return {};
  };
  let message: StunMessage;
  try {
    message = decodeMessage(payload);
  } catch (cause) {
    onTrouble({ kind: "unusable", reason: `no usable answer (${describeError(cause)})`, cause });
    return undefined;
  }
  const { method, messageClass, mapped, error, unknownRequired } = message;
  if (method !== bindingMethod || (messageClass !== "success" && messageClass !== "error")) return undefined;
  if (unknownRequired.length > 0) {
    return refuse(`its answer needs ${unknownRequired.map(attributeName).join(", ")}, which is unknown`);
  }
  if (messageClass === "error") {
    return refuse(error ? `answered error ${error.code} ${error.reason}`.trim() : "answered an error without a code");
  }
  if (mapped) return { message: { ...message, mapped } };
  return refuse("its answer has no mapped address");
}
