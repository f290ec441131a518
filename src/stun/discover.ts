/**
 * Discovery: which public transport address does the NAT give our port? One socket, several servers.
 *
 * Servers are started one after the other, while the earlier ones go on retransmitting: a dead server costs a second, a lost
 * datagram half a second. The next one is started at once when one failed, and sooner the longer nobody answers, so that
 * every server and every address of their names has been asked some time before the deadline (pace.ts).
 *
 * The first public address wins. Another one may be true, behind a carrier's NAT or in a private network, but it may also be
 * what a server behind a NAT of its own believes: it counts only when no other server has a better one.
 */
import { sameTransportAddress, type TransportAddress } from "../address.ts";
import { createPace } from "./pace.ts";
import { type AddressScope, addressScope } from "./scope.ts";
import { createServerMemory, type ServerMemory } from "./server-memory.ts";
import { formatServer, formatServerAt, type StunServer } from "./servers.ts";
import { DEFAULT_TIMEOUT_MS, runSession, type Session, type SessionOptions } from "./session.ts";
import { waitAtMost } from "./wait.ts";

/** A server that was asked for less has not had time to answer. */
const FAIR_MS = 500;
/** When there is an answer already, only a better one is looked for: at this pace, and so long after the last was asked. */
const BETTER_GAP_MS = 50;
const BETTER_WAIT_MS = 1_500;
/** A name that is not looked up by then keeps no other server waiting; it is asked when it is. */
const NAME_GRACE_MS = 100;
/** What was found is told before the deadline of the whole. */
const MARGIN_MS = 100;

export interface DiscoverOptions extends SessionOptions {
  /** Of the discoveries before this one, to be handed to the next. */
  readonly memory?: ServerMemory | undefined;
  /** Told of each server, `host:port`, when its turn comes. */
  readonly onTurn?: ((serverName: string) => void) | undefined;
}

export interface Discovery {
  /** Our mapped (server-reflexive) address, of the family asked for. */
  readonly address: TransportAddress;
  /** Whether the internet can route to it; "cgnat" and "private" mean that there is another NAT behind the server. */
  readonly scope: AddressScope;
  /** Who answered. */
  readonly server: TransportAddress;
  /** The same as configured, `host:port`. */
  readonly serverName: string;
  /** Since the first send to that server: too long when a datagram was lost. */
  readonly rttMs: number;
}

/**
 * Learns the mapped address of the port behind `openSocket`, of one family. Throws one of the STUN_* codes
 * with every server and why, what `openSocket` threw, or the signal's reason when aborted.
 */
export function discover(options: DiscoverOptions): Promise<Discovery> {
  const { memory = createServerMemory() } = options;
  return runSession(options, (session) => search(session, { ...options, memory }));
}

/** A server, or one of its addresses. */
interface Target {
  readonly server: StunServer;
  readonly address?: TransportAddress;
}

/** A target that was begun with. */
interface Begun extends Target {
  readonly atMs: number;
  hasEnded: boolean;
}

async function search(
  session: Session,
  options: DiscoverOptions & { readonly memory: ServerMemory },
): Promise<Discovery | undefined> {
  const { servers, memory, timeoutMs = DEFAULT_TIMEOUT_MS, onTurn } = options;
  const { clock, signal } = session;
  const startMs = clock.monotonic();
  const pace = createPace({ startMs, timeoutMs });
  const ahead: Target[] = memory.order(servers, formatServer).map((server) => ({ server }));
  const begun: Begun[] = [];
  const doubtful: Discovery[] = [];
  let running = 0;
  let found: Discovery | undefined;
  let failure: { readonly error: unknown } | undefined;
  let onNews: () => void = () => undefined;

  async function ask(server: StunServer, address: TransportAddress): Promise<void> {
    const answer = await session.ask(address, server);
    if (!answer) return;
    const scope = addressScope(answer.mapped);
    const serverName = formatServer(server);
    const one: Discovery = { address: answer.mapped, scope, server: address, serverName, rttMs: answer.rttMs };
    if (scope === "public" && !memory.isDistrusted(serverName)) found ??= one;
    else doubtful.push(one);
  }

  /** Of a name the address that is likeliest to answer is asked now, the others when all servers had their turn. */
  async function locate(server: StunServer): Promise<void> {
    let isLocated = false;
    const startedMs = pace.lastMs();
    clock.sleep(NAME_GRACE_MS, signal).then(
      () => {
        if (isLocated || pace.lastMs() !== startedMs) return;
        pace.hurry();
        onNews();
      },
      () => undefined, // the discovery is over
    );
    const located = await session.locate(server);
    isLocated = true;
    const [first, ...others] = memory.order(located, (address) => formatServerAt(server, address));
    ahead.push(...others.map((address) => ({ server, address })));
    if (others.length > 0) onNews();
    if (first) await run({ server, address: first });
  }

  async function run(target: Target): Promise<void> {
    const one: Begun = { ...target, atMs: clock.monotonic(), hasEnded: false };
    begun.push(one);
    const { server, address } = target;
    await (address ? ask(server, address) : locate(server));
    one.hasEnded = true;
  }

  function start(target: Target): void {
    running += 1;
    if (!target.address) onTurn?.(formatServer(target.server));
    const onEnd = () => {
      running -= 1;
      pace.hurry();
      onNews();
    };
    run(target).then(onEnd, (error: unknown) => {
      failure = { error };
      onEnd();
    });
  }

  /** When to be content with a doubtful answer. */
  function contentMs(): number {
    if (doubtful.length === 0) return Number.POSITIVE_INFINITY;
    const endMs = startMs + timeoutMs - MARGIN_MS;
    return ahead.length > 0 ? endMs : Math.min(endMs, pace.lastMs() + BETTER_WAIT_MS);
  }

  try {
    for (;;) {
      if (failure) throw failure.error;
      if (found) return found;
      if (doubtful.length > 0) pace.limit(BETTER_GAP_MS);
      const nowMs = clock.monotonic();
      if ((ahead.length === 0 && running === 0) || nowMs >= contentMs()) {
        found = selectLikeliest(doubtful, memory);
        return found;
      }
      if (nowMs >= pace.nextMs() && ahead.length > 0) {
        const [next] = ahead.splice(0, 1);
        pace.started({ nowMs, left: ahead.length });
        if (next) start(next);
        continue;
      }
      const news = new Promise<void>((resolve) => {
        onNews = resolve;
      });
      const nextMs = ahead.length > 0 ? pace.nextMs() : Number.POSITIVE_INFINITY;
      await waitAtMost(news, { clock, signal, ms: Math.min(nextMs - nowMs, contentMs() - nowMs, timeoutMs) });
    }
  } finally {
    remember({ begun, answer: found ?? doubtful[0], memory, nowMs: clock.monotonic() });
  }
}

/** Of answers that no public one contradicts: what most servers say, then what is nearest to the internet. */
function selectLikeliest(answers: readonly Discovery[], memory: ServerMemory): Discovery | undefined {
  const nearest: readonly AddressScope[] = ["public", "cgnat", "private"];
  const score = ({ address, scope, serverName }: Discovery) => {
    const votes = new Set(
      answers.flatMap((other) => (sameTransportAddress(other.address, address) ? [other.serverName] : [])),
    ).size;
    return (memory.isDistrusted(serverName) ? 0 : 1_000) + 10 * votes - nearest.indexOf(scope);
  };
  return [...answers].sort((a, b) => score(b) - score(a))[0];
}

/** Who answered is asked first the next time, and who had time enough to, and did not, after all others. */
function remember(options: {
  readonly begun: readonly Begun[];
  readonly answer: Discovery | undefined;
  readonly memory: ServerMemory;
  readonly nowMs: number;
}): void {
  const { begun, answer, memory, nowMs } = options;
  for (const { server, address, atMs, hasEnded } of begun) {
    if (hasEnded || nowMs - atMs >= FAIR_MS) memory.failed(formatServerAt(server, address));
  }
  if (!answer) return;
  const { server, serverName } = answer;
  const of = begun.find((one) => formatServer(one.server) === serverName)?.server;
  if (of) memory.answered(formatServerAt(of, server));
  memory.answered(serverName);
}
