/**
 * Discovery: which public transport address does the NAT give our port? One socket, several servers, the first answer wins.
 *
 * Servers, and the addresses of one server's name, are started one second apart, or at once when the one before failed,
 * while the earlier ones go on retransmitting: a dead server costs a second, a lost datagram half a second.
 */
import { sameTransportAddress, type TransportAddress } from "../address.ts";
import { type AddressScope, addressScope } from "./scope.ts";
import { beginWith, formatServer, type StunServer } from "./servers.ts";
import { runSession, type Session, type SessionOptions } from "./session.ts";
import { firstSuccess } from "./wait.ts";

const STAGGER_MS = 1000;

export interface DiscoverOptions extends SessionOptions {
  /** The discovery before this one: its server and address are asked first, so that a dead server costs time only once. */
  readonly previous?: Pick<Discovery, "server" | "serverName"> | undefined;
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
 * Learns the mapped address of the port behind `openSocket`, of one family. Throws STUN_NO_ANSWER or STUN_NAME_UNRESOLVED
 * with every server and why, what `openSocket` threw, or the signal's reason when aborted.
 */
export function discover(options: DiscoverOptions): Promise<Discovery> {
  const { servers, previous } = options;
  const ordered = beginWith(servers, (server) => formatServer(server) === previous?.serverName);
  return runSession(options, (session) =>
    firstSuccess(
      ordered.map((server) => () => discoverBy(server, { session, previous: previous?.server })),
      { ...session, ms: STAGGER_MS },
    ),
  );
}

interface DiscoverByOptions {
  readonly session: Session;
  readonly previous: TransportAddress | undefined;
}

async function discoverBy(
  server: StunServer,
  { session, previous }: DiscoverByOptions,
): Promise<Discovery | undefined> {
  const addresses = beginWith(await session.locate(server), (address) => sameTransportAddress(address, previous));
  const attempts = addresses.map((address) => async (): Promise<Discovery | undefined> => {
    const answer = await session.ask(address, server);
    if (!answer) return undefined;
    const { mapped, rttMs } = answer;
    return { address: mapped, scope: addressScope(mapped), server: address, serverName: formatServer(server), rttMs };
  });
  return firstSuccess(attempts, { ...session, ms: STAGGER_MS });
}
