/**
 * Sends a DNS message and waits for its reply: by UDP, sent again as long as nothing comes (RFC 1035 section 4.2.1), and by
 * TCP (section 4.2.2) when it is too long for a datagram or the reply says that it was (TC).
 *
 * What is not a reply to this message is passed over, as if it had never come.
 */
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";
import { abortable } from "../abortable.ts";
import type { Clock } from "../clock.ts";
import { lookupName } from "../names.ts";
import { type DnsHeader, type DnsMessage, decodeHeader, decodeMessage, uint16 } from "./rfc2136-message.ts";
import { DnsFormatError } from "./rfc2136-name.ts";

/** RFC 1035 section 4.2.1. Without EDNS no reply is longer, and a longer request may be cut off. */
const MAX_DATAGRAM_BYTES = 512;
const FIRST_RETRY_MS = 500;
const MAX_SENDS = 5;

export interface DnsServer {
  /** Name or IP literal, without brackets. */
  readonly host: string;
  readonly port: number;
}

interface ExchangeOptions {
  readonly server: DnsServer;
  readonly request: Buffer;
  /** Never by UDP. */
  readonly isTcpOnly: boolean;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * The reply to `request`. Throws the system's errors; for replies by TCP DnsFormatError; and NoAnswerError when UDP gave none
 * after all tries (about 15 s). Rejects with the reason of `signal`.
 */
export async function exchangeDns(options: ExchangeOptions): Promise<DnsMessage> {
  const { server, request, isTcpOnly, clock, signal } = options;
  signal.throwIfAborted();
  // Once for all tries; and as an address, because a datagram socket is of one family.
  const [address] = await lookupName(server.host, { family: 0, signal });
  if (!address) throw new Error(`${server.host} has no address`);
  const host = address.address;
  const at = { host, port: server.port, request, clock, signal };
  if (!isTcpOnly && request.length <= MAX_DATAGRAM_BYTES) {
    const reply = await exchangeUdp(at);
    if (!reply.isTruncated) return reply;
  }
  return exchangeTcp(at);
}

export class NoAnswerError extends Error {}

interface ExchangeAt {
  readonly host: string;
  readonly port: number;
  readonly request: Buffer;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

function exchangeUdp({ host, port, request, clock, signal }: ExchangeAt): Promise<DnsMessage> {
  // A socket, and with it a random port, for each exchange: a forger has to guess it together with the ID (RFC 5452).
  const socket = createSocket(isIPv6(host) ? "udp6" : "udp4");
  const done = new AbortController();
  const asked = decodeMessage(request);
  const exchange = new Promise<DnsMessage>((resolve, reject) => {
    socket.on("error", reject);
    socket.on("message", (bytes) => {
      const message = replyTo(asked, bytes);
      if (message) resolve(message);
    });
    // Connected: the kernel takes datagrams of this server only, and tells when its port is closed.
    socket.connect(port, host, () => {
      sendAgain().catch(reject);
    });
    async function sendAgain(): Promise<void> {
      for (let sends = 0; sends < MAX_SENDS && !done.signal.aborted; sends++) {
        socket.send(request);
        await clock.sleep(FIRST_RETRY_MS * 2 ** sends, done.signal).catch(() => undefined);
      }
      throw new NoAnswerError("no answer");
    }
  });
  return abortable(exchange, signal).finally(() => {
    done.abort();
    // A send that is under way when the socket is closed fails, which is nobody's concern any more.
    socket.removeAllListeners("error").on("error", () => undefined);
    socket.close();
  });
}

function exchangeTcp({ host, port, request, signal }: ExchangeAt): Promise<DnsMessage> {
  const socket = connect({ host, port });
  const exchange = new Promise<DnsMessage>((resolve, reject) => {
    const chunks: Buffer[] = [];
    let receivedBytes = 0;
    /** With the length that comes first, which bounds it: 64 KiB. */
    let wantedBytes: number | undefined;
    socket.on("error", reject);
    socket.on("close", () => reject(new NoAnswerError("the server closed the connection")));
    socket.on("data", (chunk: Buffer) => {
      chunks.push(chunk);
      receivedBytes += chunk.length;
      if (receivedBytes < (wantedBytes ?? 2)) return;
      const received = Buffer.concat(chunks);
      wantedBytes = 2 + received.readUInt16BE(0);
      if (receivedBytes < wantedBytes) return;
      const bytes = received.subarray(2, wantedBytes);
      try {
        const message = decodeMessage(bytes);
        if (!isReplyTo(decodeMessage(request), message)) throw new DnsFormatError("it answers another question");
        if (message.isTruncated) throw new DnsFormatError("it is truncated, by TCP");
        resolve(message);
      } catch (error) {
        reject(error);
      }
    });
    socket.write(Buffer.concat([uint16(request.length), request]));
  });
  return abortable(exchange, signal).finally(() => {
    socket.removeAllListeners("error").on("error", () => undefined);
    socket.destroy();
  });
}

/** The reply in a datagram. What anybody can forge without knowing the ID is dropped before it costs anything. */
function replyTo(asked: DnsMessage, bytes: Buffer): DnsMessage | undefined {
  if (bytes.length > MAX_DATAGRAM_BYTES) return undefined;
  try {
    if (!isForUs(asked, decodeHeader(bytes))) return undefined;
    const message = decodeMessage(bytes);
    return isReplyTo(asked, message) ? message : undefined;
  } catch (error) {
    if (error instanceof DnsFormatError) return undefined;
    throw error;
  }
}

/** Same ID, same kind. */
function isForUs(asked: DnsMessage, reply: DnsHeader): boolean {
  return reply.isResponse && reply.id === asked.id && reply.opcode === asked.opcode;
}

/** For us, and the same question where the reply repeats it: one to an update need not (RFC 2136 section 3.8). */
function isReplyTo(asked: DnsMessage, reply: DnsMessage): boolean {
  if (!isForUs(asked, reply)) return false;
  const [question, wanted] = [reply.questions[0], asked.questions[0]];
  if (!question) return asked.opcode !== 0 || reply.rcode !== 0;
  return (
    reply.questions.length === 1 &&
    question.name === wanted?.name &&
    question.type === wanted.type &&
    question.class === wanted.class
  );
}
