/**
 * Filtering: whom does the NAT (and every firewall on the way) let in? Asks a server to answer from its other address and
 * port, to which nothing was ever sent from here. RFC 4787 section 5, RFC 5780 section 4.4.
 *
 * Invariant: a verdict is what was proved and no more. That answers from elsewhere get through is proved by one. That they
 * do not is proved only when the server's other address is known to answer, which takes a datagram to it, and thereby opens
 * the NAT for it: a port is good for one such proof, so it is made with ports of no importance only.
 */
import { type TransportAddress, transportAddress } from "../address.ts";
import type { StunAddress } from "./attributes.ts";
import type { ChangeRequest } from "./message.ts";
import { whyNotItsOther } from "./scope.ts";
import type { StunServer } from "./servers.ts";
import { runSession, type Session, type SessionOptions } from "./session.ts";
import { waitAtMost } from "./wait.ts";

/** Three sends (0, 0.5 and 1.5 s) and some time for the last answer. */
const SILENCE_MS = 2_300;
/** Two sends. */
const ASK_MS = 1_200;

export type FilteringBehavior =
  | "endpoint-independent"
  | "address-dependent"
  | "address and port-dependent"
  /** No server can be asked, or what came proves nothing. */
  | "unknown";

export interface FilteringOptions extends SessionOptions {
  /**
   * The port behind `openSocket` was made for this and is thrown away: its NAT mapping may be used up. False for
   * WireGuard's own port: then only "endpoint-independent" and "unknown" can come out.
   */
  readonly isDisposablePort: boolean;
}

/** Throws what `openSocket` threw, and the signal's reason when aborted; silence is no error. */
export function observeFiltering(options: FilteringOptions): Promise<FilteringBehavior> {
  const { servers, isDisposablePort, family } = options;
  return runSession(options, async (session) => {
    const used = new Set<string>();
    const asked: Asked[] = [];
    const asking = servers.map(async (server) => {
      const [address] = await session.locate(server);
      if (!address) return;
      used.add(address.host);
      const answer = await session.ask(address, server);
      if (answer) asked.push({ server, address, other: answer.otherAddress });
    });
    await waitAtMost(Promise.all(asking), { ...session, ms: ASK_MS });
    for (const one of [...asked]) {
      const other = otherOf(one.other, { asked: one.address, family });
      // To a server that is configured as well this port has sent already.
      if (!other || used.has(other.host)) continue;
      return isDisposablePort ? probe(session, { ...one, other }) : probeOpenness(session, { ...one, other });
    }
    return "unknown";
  });
}

interface Asked {
  readonly server: StunServer;
  readonly address: TransportAddress;
  readonly other: StunAddress | undefined;
}

interface Target {
  readonly server: StunServer;
  readonly address: TransportAddress;
  /** Another address and another port. */
  readonly other: TransportAddress;
}

async function probe(session: Session, target: Target): Promise<FilteringBehavior> {
  const { address, other } = target;
  const samePlace = transportAddress(address.host, other.port) ?? other;
  const [anywhere, otherPort] = await Promise.all([
    answersFrom(session, { ...target, from: other, change: { address: true, port: true } }),
    answersFrom(session, { ...target, from: samePlace, change: { address: false, port: true } }),
  ]);
  if (anywhere) return "endpoint-independent";
  const alive = await waitAtMost(session.ask(other, target.server), { ...session, ms: ASK_MS });
  if (!alive) return "unknown";
  return otherPort ? "address-dependent" : "address and port-dependent";
}

async function probeOpenness(session: Session, target: Target): Promise<FilteringBehavior> {
  const change = { address: true, port: true };
  return (await answersFrom(session, { ...target, from: target.other, change })) ? "endpoint-independent" : "unknown";
}

async function answersFrom(
  session: Session,
  { server, address, from, change }: Target & { readonly from: TransportAddress; readonly change: ChangeRequest },
): Promise<boolean> {
  const asking = session.ask(address, server, { elsewhere: { change, from } });
  return (await waitAtMost(asking, { ...session, ms: SILENCE_MS })) !== undefined;
}

/** OTHER-ADDRESS when both its parts are other ones than asked: without, nothing can be told apart. */
function otherOf(
  other: StunAddress | undefined,
  { asked, family }: { readonly asked: TransportAddress; readonly family: TransportAddress["family"] },
): TransportAddress | undefined {
  if (!other || other.family !== family || other.host === asked.host || other.port === asked.port) return undefined;
  return whyNotItsOther(other, asked) ? undefined : transportAddress(other.host, other.port);
}
