/** What is known about one interface, as others may see it (status.ts). Made when somebody asks. */
import { formatTransportAddress } from "./address.ts";
import { inOneSentence, portChanged, stunBlocked, stunFails } from "./causes.ts";
import type { Clock } from "./clock.ts";
import { describePortChange, heardSinceSilence, stunTroubleOf, wallTime } from "./explain-peer.ts";
import { type NatWatch, serverCauses } from "./nat.ts";
import type { DiscoveryCounters, OwnAddressDetails } from "./own-address.ts";
import { round } from "./own-address.ts";
import { failureStatus, peerStatus, type Surroundings } from "./peer-status.ts";
import type { InterfaceStatus, MappedStatus } from "./status.ts";

export interface InterfaceKnown extends Surroundings {
  /** As the configuration has it. */
  readonly name: string;
  readonly nat: ReturnType<NatWatch["current"]>;
  readonly counters: DiscoveryCounters;
}

export function interfaceStatus(known: InterfaceKnown): InterfaceStatus {
  const { name, peers, device, problem, own, nat, clock } = known;
  const { ipv4, ipv6 } = own.found;
  const notes = interfaceNotes(known);
  return {
    name,
    state: device ? "ready" : "waiting",
    ...(!device && { reason: problem ?? "it is not there" }),
    ...(notes.length > 0 && { notes }),
    ...(device && {
      device: {
        name: device.name,
        publicKey: Buffer.from(device.publicKey).toString("base64"),
        listenPort: device.listenPort,
        firewallMark: device.firewallMark,
      },
    }),
    own: { ...(ipv4 && { ipv4: mapped(ipv4, clock) }), ...(ipv6 && { ipv6: mapped(ipv6, clock) }) },
    ...(own.failure && { discoveryError: failureStatus(own.failure, clock) }),
    ...(nat && { mapping: { ...withoutMapping(nat.report), observedAt: wallTime(clock, nat.atMs) } }),
    counters: { ...known.counters },
    peers: peers.map((peer) => peerStatus(peer, known)),
  };
}

function interfaceNotes(known: InterfaceKnown): readonly string[] {
  const trouble = stunTroubleOf(known.own);
  const heardFrom = heardSinceSilence(known);
  const portChange = describePortChange(known);
  const causes = [
    trouble && (stunFails(trouble) ?? (heardFrom === undefined ? undefined : stunBlocked(heardFrom))),
    portChange && portChanged(portChange),
    ...(known.nat ? serverCauses(known.nat.report) : []),
  ];
  return causes.flatMap((cause) => (cause ? [inOneSentence(cause)] : []));
}

function mapped(found: NonNullable<OwnAddressDetails["found"]["ipv4"]>, clock: Clock): MappedStatus {
  const { address, server, rttMs, atMs } = found;
  return {
    address: formatTransportAddress(address),
    server,
    rttMs: round(rttMs),
    discoveredAt: wallTime(clock, atMs),
  };
}

function withoutMapping({ family, behavior, preservesPort, scope }: NonNullable<InterfaceKnown["nat"]>["report"]) {
  return {
    family,
    behavior,
    ...(preservesPort !== undefined && { preservesPort }),
    ...(scope !== undefined && { scope }),
  };
}
