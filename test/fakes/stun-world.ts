/**
 * A small internet for STUN: names, servers that behave well or badly, one NAT, latency and loss, all in fake time.
 * Its probe sockets keep the contract of src/platform/types.ts and complain when the user of one does not.
 */
import assert from "node:assert/strict";
import {
  type Family,
  formatTransportAddress,
  parseTransportAddress,
  type TransportAddress,
} from "../../src/address.ts";
import { StunmeshError } from "../../src/errors.ts";
import type { Datagram, ProbeSocket } from "../../src/platform/types.ts";
import type { Resolve } from "../../src/stun/resolve.ts";
import type { FakeClock } from "./clock.ts";
import { createFakeRandom } from "./random.ts";
import { encodeAddress, encodeErrorCode, encodeMessage, encodeXorAddress } from "./stun-message.ts";

interface Question {
  readonly request: Uint8Array;
  readonly transactionId: Uint8Array;
  /** As which the NAT lets the server see the client. */
  readonly mapped: TransportAddress;
  readonly server: TransportAddress;
  /** 1 for the first request that reached this server. */
  readonly count: number;
}

interface Reply {
  readonly payload: Uint8Array;
  /** Default: the server that was asked. */
  readonly from?: TransportAddress;
  /** On top of the latency of the network. */
  readonly delayMs?: number;
}

export type Behavior = (question: Question) => readonly Reply[];

const SUCCESS = 0x0101;
const ERROR = 0x0111;

function success({ transactionId, mapped }: Pick<Question, "transactionId" | "mapped">): Uint8Array {
  return encodeMessage({ type: SUCCESS, transactionId, attributes: [encodeXorAddress(mapped, transactionId)] });
}

/** How a server may behave. */
export const behaviors = {
  ok: () => (question) => [{ payload: success(question) }],
  slow: (delayMs: number) => (question) => [{ payload: success(question), delayMs }],
  silent: () => () => [],
  dropsFirst: (drops: number) => (question) => (question.count > drops ? [{ payload: success(question) }] : []),
  duplicate: () => (question) => [{ payload: success(question) }, { payload: success(question), delayMs: 5 }],
  mappedOnly: () => (question) => [
    { payload: encodeMessage({ ...question, type: SUCCESS, attributes: [encodeAddress(0x0001, question.mapped)] }) },
  ],
  /** RFC 5780 */
  otherAddress: (other: string) => (question) => [
    {
      payload: encodeMessage({
        ...question,
        type: SUCCESS,
        attributes: [
          encodeXorAddress(question.mapped, question.transactionId),
          encodeAddress(0x802c, at(other)),
          encodeAddress(0x802b, question.server),
        ],
      }),
    },
  ],
  error: (code: number, reason: string) => (question) => [
    { payload: encodeMessage({ ...question, type: ERROR, attributes: [encodeErrorCode(code, reason)] }) },
  ],
  /** Says that we are `mapped`, whatever the truth. */
  claims: (mapped: { readonly host: string; readonly port: number }) => (question) => [
    {
      payload: encodeMessage({
        ...question,
        type: SUCCESS,
        attributes: [encodeXorAddress(mapped, question.transactionId)],
      }),
    },
  ],
  wrongTransactionId: () => (question) => [
    { payload: success({ ...question, transactionId: question.transactionId.map((byte) => byte ^ 1) }) },
  ],
  wrongSource: (from: string) => (question) => [{ payload: success(question), from: at(from) }],
  wrongCookie: () => (question) => {
    const payload = success(question);
    payload[4] = 0;
    return [{ payload }];
  },
  /** The request itself comes back. */
  echo: () => (question) => [{ payload: question.request }],
  truncated: () => (question) => [{ payload: success(question).subarray(0, -4) }],
  garbage: (seed: number) => {
    const random = createFakeRandom(seed);
    return (question) => [
      { payload: random.bytes(random.integer(200)) },
      { payload: success(question).subarray(0, random.integer(32)) },
    ];
  },
  /** First what `before` says, then what `after` says. */
  both: (before: Behavior, after: Behavior) => (question) => [...before(question), ...after(question)],
} satisfies Record<string, (...options: never[]) => Behavior>;

interface StunWorldOptions {
  readonly clock: FakeClock;
  /** Of a round trip; default 20. */
  readonly latencyMs?: number;
  /** Share of datagrams lost, in each direction; default 0. */
  readonly loss?: number;
  readonly seed?: number;
  /** Default: an endpoint-independent NAT, 203.0.113.7:40112 and [2001:db8:1::7]:40112. */
  readonly nat?: (server: TransportAddress) => string;
  readonly servers: { readonly [address: string]: Behavior };
  /** Addresses by name; "fails" = the resolver fails, "hangs" = it never answers. */
  readonly names?: { readonly [name: string]: readonly string[] | "fails" | "hangs" };
  /** What sending to an address rejects with. */
  readonly sendErrors?: { readonly [address: string]: string };
}

export interface StunWorld {
  openSocket(onDatagram: (datagram: Datagram) => void): Promise<ProbeSocket>;
  readonly resolve: Resolve;
  /** Delivers `payload` to every open socket, as if it came from `from`. */
  inject(payload: Uint8Array, from: string): void;
  /** Every request sent: when and where to. */
  readonly sent: readonly { readonly atMs: number; readonly to: string; readonly transactionId: string }[];
  readonly opened: number;
  readonly open: number;
}

export function createStunWorld(options: StunWorldOptions): StunWorld {
  const { clock, latencyMs = 20, loss = 0, nat = defaultNat, servers, names = {}, sendErrors = {} } = options;
  const random = createFakeRandom(options.seed ?? 1);
  const counts = new Map<string, number>();
  const listeners = new Set<(datagram: Datagram) => void>();
  const sent: { atMs: number; to: string; transactionId: string }[] = [];
  let opened = 0;

  function repliesOf(request: Uint8Array, server: TransportAddress): readonly Reply[] {
    const name = formatTransportAddress(server);
    const count = (counts.get(name) ?? 0) + 1;
    counts.set(name, count);
    const transactionId = request.slice(8, 20);
    return servers[name]?.({ request, transactionId, mapped: at(nat(server)), server, count }) ?? [];
  }

  return {
    async openSocket(onDatagram) {
      opened += 1;
      listeners.add(onDatagram);
      return {
        async send(payload, to) {
          assert.ok(listeners.has(onDatagram), "sent after close");
          const name = formatTransportAddress(to);
          const failure = sendErrors[name];
          if (failure !== undefined) throw new StunmeshError("SYSTEM_CALL_FAILED", failure);
          sent.push({
            atMs: clock.monotonic(),
            to: name,
            transactionId: Buffer.from(payload.slice(8, 20)).toString("hex"),
          });
          if (random.next() < loss) return;
          for (const { payload: reply, from = to, delayMs = 0 } of repliesOf(payload, to)) {
            if (random.next() < loss) continue;
            void clock.sleep(latencyMs + delayMs).then(() => {
              if (listeners.has(onDatagram)) onDatagram({ payload: reply, from });
            });
          }
        },
        async close() {
          assert.ok(listeners.delete(onDatagram), "closed twice");
        },
      };
    },
    async resolve(host, { family }) {
      const found = names[host];
      if (found === "fails") throw new StunmeshError("STUN_NAME_UNRESOLVED", `Cannot resolve "${host}": EAI_AGAIN`);
      if (found === "hangs") return new Promise(() => undefined);
      return (found ?? (/^[0-9a-f.:]+$/.test(host) ? [host] : [])).filter((ip) => familyOf(ip) === family);
    },
    inject(payload, from) {
      for (const onDatagram of listeners) onDatagram({ payload, from: at(from) });
    },
    sent,
    get opened() {
      return opened;
    },
    get open() {
      return listeners.size;
    },
  };
}

/** Parses a transport address a test wrote down. */
export function at(text: string): TransportAddress {
  const address = parseTransportAddress(text);
  assert.ok(address, `"${text}" is a transport address`);
  return address;
}

function defaultNat(server: TransportAddress): string {
  return server.family === "ipv4" ? "203.0.113.7:40112" : "[2001:db8:1::7]:40112";
}

function familyOf(ip: string): Family {
  return ip.includes(":") ? "ipv6" : "ipv4";
}

interface Settled<T> {
  readonly value?: T;
  readonly error?: unknown;
  readonly elapsedMs: number;
}

/** Moves the clock until `promise` settles and says how long that took, to 10 ms; fails after a minute. */
export async function settle<T>(clock: FakeClock, promise: Promise<T>): Promise<Settled<T>> {
  const startMs = clock.monotonic();
  let settled: Settled<T> | undefined;
  promise.then(
    (value) => {
      settled = { value, elapsedMs: clock.monotonic() - startMs };
    },
    (error: unknown) => {
      settled = { error, elapsedMs: clock.monotonic() - startMs };
    },
  );
  while (!settled) {
    await clock.advance(10);
    assert.ok(clock.monotonic() - startMs < 60_000, "settles within a minute");
  }
  return settled;
}
