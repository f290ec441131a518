/**
 * Asks the STUN servers everything, in one family: from WireGuard's port and from another one, at the same time.
 *
 * Beside a daemon this does no harm: answers are told apart by their transaction IDs. What opens the NAT for a server's
 * other address (see stun/filtering.ts) is done from the other port only.
 */
import type { Family } from "../address.ts";
import type { Clock } from "../clock.ts";
import type { InterfaceConfig } from "../config/types.ts";
import { describeError, errorCode, isAbort } from "../errors.ts";
import { localAddresses, whyNoFamily } from "../host-addresses.ts";
import type { Parts } from "../parts.ts";
import { type FilteringBehavior, observeFiltering } from "../stun/filtering.ts";
import { observeHairpinning } from "../stun/hairpin.ts";
import { judgeMapping, type MappingVerdict } from "../stun/mapping.ts";
import { observeMapping } from "../stun/observe.ts";
import { formatServer } from "../stun/servers.ts";
import type { SessionOptions } from "../stun/session.ts";
import { type SurveyedServer, surveyServers } from "../stun/survey.ts";
import type { WireGuardDevice } from "../wg/types.ts";
import type { Failure, StunFacts } from "./facts.ts";
import { isReachedByTcp, openOtherPort } from "./other-port.ts";
import { rehearse } from "./rehearse.ts";

export interface ProbeOptions {
  readonly parts: Parts;
  readonly config: InterfaceConfig;
  readonly device: WireGuardDevice;
  readonly family: Family;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Unmarked packets to the servers go into the tunnel: another port would show the NAT at its other end. */
  readonly isTunnelled: boolean;
  /** Which peer was heard from meanwhile; asked only when no server answers. */
  heardFrom(): Promise<string | undefined>;
}

type Session = SessionOptions;

/** Rejects only when aborted. */
export async function probe(options: ProbeOptions): Promise<StunFacts> {
  const { parts, config, device, family, signal, isTunnelled } = options;
  const base = {
    interface: config.name,
    family,
    isOnlyFamily: config.protocol !== "dualstack",
    localPort: device.listenPort,
  };
  const missing = whyNoFamily(family, device.name);
  if (missing !== undefined) {
    return { ...base, ...nothing, failure: { message: missing, code: "STUN_NOT_SENT" } };
  }
  const session = parts.sessionOf(config, { device, family, signal });
  const otherSession: Session = {
    ...session,
    openSocket: (onDatagram) => openOtherPort(family, onDatagram),
  };
  const rehearsal = rehearse(session, options);
  const [survey, otherPort, filtering] = await Promise.all([
    attempt(() => surveyServers(session)),
    isTunnelled ? undefined : attempt(() => surveyServers(otherSession)),
    isTunnelled ? undefined : attempt(() => observeFiltering({ ...otherSession, isDisposablePort: true })),
  ]);
  const facts = {
    ...base,
    ...nothing,
    survey: survey.value,
    failure: survey.failure,
    otherPort: otherPort?.value,
    filtering: filtering?.value ?? ("unknown" as const),
  };
  // What does not answer within the survey's 3 s is not waited for any longer.
  if (!survey.value?.some(({ answers }) => answers.length > 0)) rehearsal.cancel();
  const discovery = await rehearsal.facts;
  signal.throwIfAborted();
  if (!survey.value) return facts;
  if (!survey.value.some(({ answers }) => answers.length > 0)) {
    const [heardFrom, tcpReaches] = await Promise.all([options.heardFrom(), findTcp(session, options)]);
    return { ...facts, heardFrom, tcpReaches };
  }
  return { ...facts, discovery, ...(await observe(options, { session, otherSession, survey: survey.value })) };
}

const nothing = {
  survey: undefined,
  failure: undefined,
  discovery: undefined,
  otherPort: undefined,
  tcpReaches: [],
  heardFrom: undefined,
  observation: undefined,
  portFiltering: "unknown",
  filtering: "unknown",
  hairpins: undefined,
} as const satisfies Partial<StunFacts>;

interface Sessions {
  readonly session: Session;
  readonly otherSession: Session;
  readonly survey: readonly SurveyedServer[];
}

/** What takes answers: the mapping, whether the port is open, hairpinning. */
async function observe(
  { device, clock, signal }: ProbeOptions,
  { session, otherSession, survey }: Sessions,
): Promise<Pick<StunFacts, "observation" | "portFiltering" | "hairpins">> {
  const samples = survey.flatMap(({ name, answers }) => answers.map((one) => ({ ...one, serverName: name })));
  const facts = { localPort: device.listenPort, localAddresses: localAddresses(device.name) };
  const judged = judgeMapping(samples, facts);
  const mapped = judged.mapped[0]?.address;
  // Those of this family that live: of a lone one observeMapping() asks its other address as well.
  const answering = survey.filter(({ answers }) => answers.length > 0).map(({ name }) => name);
  const servers = session.servers.filter((server) => answering.includes(formatServer(server)));
  const isLone = servers.length === 1;
  const [observation, portFiltering, hairpins] = await Promise.all([
    // That opens the NAT for the other address, here and in the daemon, and a test of filtering says nothing then.
    isLone ? attempt(() => observeMapping({ ...session, ...facts, servers })) : undefined,
    isLone ? undefined : attempt(() => observeFiltering({ ...session, isDisposablePort: false })),
    mapped && judged.nat === "present"
      ? attempt(() =>
          observeHairpinning({
            mapped,
            openListener: session.openSocket,
            openSender: otherSession.openSocket,
            clock,
            signal,
          }),
        )
      : undefined,
  ]);
  return {
    observation: observation?.value ?? (judged satisfies MappingVerdict),
    portFiltering: portFiltering?.value ?? ("unknown" satisfies FilteringBehavior),
    hairpins: hairpins?.value,
  };
}

async function findTcp(session: Session, { family, clock, signal }: ProbeOptions): Promise<readonly string[]> {
  const reached = await Promise.all(
    session.servers.map(async ({ host, port }) => {
      const hosts = await session.resolve(host, { family, signal }).catch(() => []);
      const [first] = hosts;
      if (first === undefined) return [];
      return (await isReachedByTcp({ family, host: first, port }, { clock, signal })) ? [`${host}:${port}`] : [];
    }),
  );
  return reached.flat();
}

interface Attempt<T> {
  readonly value: T | undefined;
  readonly failure: Failure | undefined;
}

/** One thing that cannot be asked must not keep us from the others. */
async function attempt<T>(run: () => Promise<T>): Promise<Attempt<T>> {
  try {
    return { value: await run(), failure: undefined };
  } catch (error) {
    if (isAbort(error)) throw error;
    return { value: undefined, failure: { message: describeError(error), code: errorCode(error) } };
  }
}
