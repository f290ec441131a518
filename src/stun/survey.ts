/**
 * Survey: asks every server once, from one socket, and says of each what it answered or why it did not. For people.
 */
import type { TransportAddress } from "../address.ts";
import { formatServer, type ServerTrouble, type StunServer } from "./servers.ts";
import { runSession, type Session, type SessionAnswer, type SessionOptions } from "./session.ts";
import { waitAtMost } from "./wait.ts";

/** Two lost datagrams. */
const DEFAULT_WAIT_MS = 3_000;
/** Of one server's name: more than any name should have, because only the last one may live. */
const ADDRESSES_PER_SERVER = 16;

export interface SurveyedServer {
  /** As configured, `host:port`. */
  readonly name: string;
  /** In the order they came. */
  readonly answers: readonly (SessionAnswer & { readonly server: TransportAddress })[];
  /** Why there is no answer, for each of its addresses; empty when there is one. */
  readonly troubles: readonly ServerTrouble[];
}

/**
 * Asks all servers at the same time and waits for all, but not longer than `waitMs` (3 s). Throws what `openSocket` threw,
 * and the signal's reason when aborted; silence is no error.
 */
export function surveyServers(
  options: SessionOptions & { readonly waitMs?: number },
): Promise<readonly SurveyedServer[]> {
  const { servers, waitMs = DEFAULT_WAIT_MS } = options;
  return runSession(options, async (session) => {
    const answers = servers.map((): SurveyedServer["answers"][number][] => []);
    const all = Promise.all(servers.map((server, index) => askAll(server, { session, answers: answers[index] ?? [] })));
    await waitAtMost(all, { ...session, ms: waitMs });
    return servers.map((server, index) => {
      const got = [...(answers[index] ?? [])];
      return { name: formatServer(server), answers: got, troubles: got.length > 0 ? [] : session.troublesOf(server) };
    });
  });
}

async function askAll(
  server: StunServer,
  { session, answers }: { readonly session: Session; readonly answers: SurveyedServer["answers"][number][] },
): Promise<void> {
  const addresses = await session.locate(server);
  await Promise.all(
    addresses.slice(0, ADDRESSES_PER_SERVER).map(async (address) => {
      const answer = await session.ask(address, server);
      if (answer) answers.push({ ...answer, server: address });
    }),
  );
}
