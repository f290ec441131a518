/**
 * Observation: asks several STUN servers at once, from one socket, and judges what the NAT does. For people: it explains
 * why a peer is not reachable; nothing else in the program depends on the verdict.
 */
import { type Family, type TransportAddress, transportAddress } from "../address.ts";
import type { StunAddress } from "./attributes.ts";
import type { MappingSample } from "./dissent.ts";
import { judgeMapping, type MappingVerdict } from "./mapping.ts";
import { whyNotItsOther } from "./scope.ts";
import type { ServerMemory } from "./server-memory.ts";
import { formatServer, formatServerAt, type StunServer } from "./servers.ts";
import { runSession, type Session, type SessionOptions } from "./session.ts";
import { waitAtMost } from "./wait.ts";

/** How long the other servers are waited for after the first answer: two lost datagrams. */
const OTHERS_WAIT_MS = 1500;
/** Of one server's name: two different addresses are enough. */
const ADDRESSES_PER_SERVER = 2;

export interface ObserveMappingOptions extends SessionOptions {
  readonly localPort: number;
  /** IP literals of this host, canonical. */
  readonly localAddresses: readonly string[];
  /** What discoveries learned: which addresses of a name are dead. */
  readonly memory?: ServerMemory | undefined;
}

export interface MappingObservation extends MappingVerdict {
  readonly samples: readonly MappingSample[];
}

/**
 * Observes the mapping of the port behind `openSocket`, of one family. The OTHER-ADDRESS of the server that answers first is
 * asked too. Throws as discover() does when no server answers at all.
 */
export function observeMapping(options: ObserveMappingOptions): Promise<MappingObservation> {
  return runSession(options, async (session) => {
    const samples = await collectSamples(session, options);
    return samples.length > 0 ? { ...judgeMapping(samples, options), samples } : undefined;
  });
}

async function collectSamples(
  session: Session,
  { servers, family, memory }: ObserveMappingOptions,
): Promise<readonly MappingSample[]> {
  const samples: MappingSample[] = [];
  let onFirst: () => void = () => undefined;
  const first = new Promise<void>((resolve) => {
    onFirst = resolve;
  });
  async function sample(address: TransportAddress, server: StunServer): Promise<void> {
    const answer = await session.ask(address, server);
    if (!answer) return;
    samples.push({ server: address, mapped: answer.mapped, serverName: formatServer(server) });
    onFirst();
    // The other servers may be dead, or the same machine.
    const others = samples.length === 1 ? otherAddresses(answer.otherAddress, { asked: address, family }) : [];
    await Promise.all(others.map((other) => sample(other, server)));
  }
  const all = Promise.all(
    servers.map(async (server) => {
      const located = await session.locate(server);
      const addresses = memory?.order(located, (address) => formatServerAt(server, address)) ?? located;
      await Promise.all(addresses.slice(0, ADDRESSES_PER_SERVER).map((address) => sample(address, server)));
    }),
  );
  await Promise.race([first, all]);
  await waitAtMost(all, { ...session, ms: OTHERS_WAIT_MS });
  return [...samples];
}

/** RFC 5780 4.3: the server's other address, at the port just asked and at its other port. Never into the own network. */
function otherAddresses(
  other: StunAddress | undefined,
  { asked, family }: { readonly asked: TransportAddress; readonly family: Family },
): readonly TransportAddress[] {
  if (!other || other.family !== family || other.host === asked.host || whyNotItsOther(other, asked)) return [];
  const ports = new Set([asked.port, other.port]);
  return [...ports].flatMap((port) => transportAddress(other.host, port) ?? []);
}
