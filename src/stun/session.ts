/**
 * What discovery and observation share: one probe socket, the transactions on it, one deadline, one report of troubles.
 *
 * Invariant: when runSession() settles, nothing it started waits any longer and the socket is closed; a socket that was
 * still being opened then is closed as soon as it is open.
 */
import { randomBytes as systemRandomBytes } from "node:crypto";
import { setMaxListeners } from "node:events";
import {
  type Family,
  formatTransportAddress,
  type TransportAddress,
  transportAddress,
  whyNotAnEndpoint,
} from "../address.ts";
import type { Clock } from "../clock.ts";
import { describeError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Datagram, ProbeSocket } from "../platform/types.ts";
import type { StunAddress } from "./attributes.ts";
import { locateServer } from "./locate.ts";
import type { Resolve } from "./resolve.ts";
import {
  createTroubleReport,
  formatServerAt,
  notAsked,
  type ServerTrouble,
  type StunServer,
  type Trouble,
  type TroubleReport,
} from "./servers.ts";
import { createTransactions, type Elsewhere, type Transactions } from "./transaction.ts";
import { waitAtMost } from "./wait.ts";

/** For a session that names no deadline of its own. */
export const DEFAULT_TIMEOUT_MS = 10_000;

export interface SessionOptions {
  /** In the order of preference. */
  readonly servers: readonly StunServer[];
  readonly family: Family;
  /** Opens a probe socket of `family` that delivers what `stunMatch` describes to `onDatagram`. */
  openSocket(onDatagram: (datagram: Datagram) => void): Promise<ProbeSocket>;
  readonly resolve: Resolve;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** For everything together: opening, names, all servers. Default 10 s. */
  readonly timeoutMs?: number;
  readonly log?: Log;
  /** Default: the system's. */
  randomBytes?(count: number): Uint8Array;
}

export interface Session {
  readonly clock: Clock;
  /** Aborted when the session ends, for whatever reason. */
  readonly signal: AbortSignal;
  /** The transport addresses of `server` once the socket is open too; empty when its name has none (noted). */
  locate(server: StunServer): Promise<readonly TransportAddress[]>;
  /** One transaction; undefined when it gave no usable mapped address (noted under the server's name). */
  ask(
    address: TransportAddress,
    server: StunServer,
    options?: { readonly elsewhere?: Elsewhere },
  ): Promise<SessionAnswer | undefined>;
  /** What was noted about `server` so far, for each of its addresses. */
  troublesOf(server: StunServer): readonly ServerTrouble[];
}

export interface SessionAnswer {
  readonly mapped: TransportAddress;
  readonly otherAddress: StunAddress | undefined;
  readonly rttMs: number;
}

/**
 * Opens a socket and runs `run` with it. Throws one of the STUN_* codes when `run` resolves with undefined
 * or the deadline passes, the signal's reason when aborted, and what opening the socket threw.
 */
export async function runSession<T>(
  options: SessionOptions,
  run: (session: Session) => Promise<T | undefined>,
): Promise<T> {
  const {
    clock,
    family,
    servers,
    signal,
    timeoutMs = DEFAULT_TIMEOUT_MS,
    randomBytes = systemRandomBytes,
    log,
  } = options;
  signal.throwIfAborted();
  const stop = new AbortController();
  // As many listeners as there are transactions, and there may be one for each server and each address of its name.
  setMaxListeners(0, stop.signal);
  const report = createTroubleReport();
  for (const server of servers) report.note(server, notAsked);
  const transactions = createTransactions({
    clock,
    randomBytes,
    // Called only by ask(), which needs an address, which locate() gives only when the socket is open.
    send: async (payload, to) => (await opening).send(payload, to),
  });
  const opening = openNow(() => options.openSocket(transactions.onDatagram));
  let isOpen = false;
  opening.then(
    () => {
      isOpen = true;
    },
    () => undefined, // locate() rejects with it
  );
  const session: Session = {
    clock,
    signal: stop.signal,
    async locate(server) {
      const [addresses] = await Promise.all([
        locateServer(server, { ...options, signal: stop.signal, report }),
        opening,
      ]);
      return addresses;
    },
    ask: (address, server, { elsewhere } = {}) =>
      askServer({ address, server, elsewhere, family, log, report, transactions, signal: stop.signal }),
    troublesOf: report.list,
  };
  try {
    const result = await waitAtMost(run(session), { clock, ms: timeoutMs, signal });
    if (result === undefined) throw report.toError(family);
    return result;
  } finally {
    stop.abort();
    const closed = opening.then(
      (socket) => closeSocket(socket, log),
      () => undefined, // never opened: nothing to close
    );
    // One that is still being opened must not keep the caller past his deadline; it closes itself.
    if (isOpen) await closed;
  }
}

async function openNow(open: () => Promise<ProbeSocket>): Promise<ProbeSocket> {
  return open();
}

/** A failed close is worth a line, but not the loss of the answer we have. */
async function closeSocket(socket: ProbeSocket, log: Log | undefined): Promise<void> {
  try {
    await socket.close();
  } catch (error) {
    log?.warn({ err: describeError(error) }, "probe socket not closed");
  }
}

interface AskOptions {
  readonly address: TransportAddress;
  readonly server: StunServer;
  readonly elsewhere: Elsewhere | undefined;
  readonly family: Family;
  readonly log: Log | undefined;
  readonly report: TroubleReport;
  readonly transactions: Transactions;
  readonly signal: AbortSignal;
}

async function askServer(options: AskOptions): Promise<SessionAnswer | undefined> {
  const { address, server, elsewhere, family, log, report, transactions, signal } = options;
  const label = formatServerAt(server, address);
  let last = "";
  const onTrouble = (trouble: Trouble) => {
    last = trouble.reason;
    report.note(server, trouble, address);
  };
  const answer = await transactions.ask(address, { signal, onTrouble, elsewhere });
  const why = answer && whyUnusable(answer.mapped, family);
  const mapped = answer && transportAddress(answer.mapped.host, answer.mapped.port);
  if (why !== undefined) onTrouble({ kind: "unusable", reason: why });
  if (!answer || !mapped || why !== undefined) {
    log?.debug({ family, server: label, reason: last }, "stun server gave no mapped address");
    return undefined;
  }
  log?.debug(
    { family, server: label, endpoint: formatTransportAddress(mapped), ms: answer.rttMs },
    "stun server answered",
  );
  return { mapped, otherAddress: answer.otherAddress, rttMs: answer.rttMs };
}

function whyUnusable(mapped: StunAddress, family: Family): string | undefined {
  const why =
    mapped.port === 0
      ? "its port is 0"
      : mapped.family === family
        ? whyNotAnEndpoint(mapped)
        : family === "ipv4"
          ? "it is no IPv4 address"
          : "it is no IPv6 address: NAT64 is on the way, as DNS64 leads to it when a server has no IPv6 address";
  return why && `answered ${formatTransportAddress(mapped)}, but ${why}`;
}
