/**
 * The verdict about a peer: does the tunnel work, and if not, the one cause that is nearest to the ground. A cause higher up
 * in the list below would hide those after it, so the first one counts. Pure.
 */
import { formatTransportAddress } from "../address.ts";
import { storeFails } from "../causes.ts";
import { formatDuration } from "../duration.ts";
import { mappingOf, summarizeMapping } from "../nat.ts";
import type { PeerStateName } from "../status.ts";
import { candidateOf, handshakeAgeMs, hasSession, recordOf } from "./check-peer.ts";
import { explainSilence } from "./check-stun.ts";
import { type DeviceFacts, mappedOf, type OwnNat, type PeerFacts, type StoreFacts } from "./facts.ts";
import type { CheckId, Finding } from "./finding.ts";
import { explainPair, type NatSide, pairHint } from "./nat-pair.ts";

export interface VerdictFacts {
  readonly device: DeviceFacts;
  /** Undefined without a device. */
  readonly peer: PeerFacts | undefined;
  readonly peerName: string;
  readonly nat: OwnNat;
  /** Those of the peer. */
  readonly stores: readonly StoreFacts[];
  /** What the daemon says the peer is; undefined when none says anything. */
  readonly daemonSays?: PeerStateName | undefined;
  /** Everything that was found out before. */
  readonly findings: readonly Finding[];
}

type Sentence = Pick<Finding, "text" | "hint">;

/** Failures of the interface or the peer that alone keep it away, the deepest first. */
const groundFailures: readonly CheckId[] = ["peers", "keys", "allowed-ips", "route"];

export function judgePeer(facts: VerdictFacts): Finding {
  const { device, peer, peerName } = facts;
  const subject = `${device.config.name}/${peerName}`;
  const result = (level: Finding["level"], { text, hint }: Sentence): Finding => ({
    level,
    check: "verdict",
    subject,
    text,
    ...(hint !== undefined && { hint }),
  });
  if (peer && hasSession(peer)) {
    const life = signOfLife(peer, facts);
    if (life === "alive") return result("ok", works(peer, facts));
    if (life === "unknown") return result("warn", isNotKnown(peer, facts));
    // The deeper cause, if there is one, explains why.
    const cause = findCause(facts, subject);
    const { text, hint } = cause ?? explainDead(peer, facts);
    const silence = `does not work any more, though the last handshake was ${formatDuration(handshakeAgeMs(peer) ?? 0)} ago: ${text}`;
    return result("fail", { text: silence, ...(hint !== undefined && { hint }) });
  }
  const cause = findCause(facts, subject);
  if (cause) return result("fail", cause);
  if (!peer) return result("fail", { text: "not reachable" });
  const idle = explainIdle(peer);
  if (idle) return result("warn", idle);
  if (!peer.servedBy) {
    const text = "not connected, and nothing speaks against it: no daemon runs here that would do it";
    return result("warn", { text, hint: 'start "stunmesh-ts run"' });
  }
  return result("fail", explainDead(peer, facts));
}

/** A handshake this young is a sign of life by itself, when nothing speaks against it. */
const FRESH_HANDSHAKE_MS = 30_000;

/**
 * Does the tunnel work now? WireGuard keeps a session for three minutes after the last handshake, whether anybody is still
 * there or not, so that a session alone says nothing. What comes from the peer does: an answer to a ping, or bytes. A
 * daemon has watched for longer than we do. Silence of a ping target alone proves nothing: it may not answer pings.
 */
function signOfLife(peer: PeerFacts, facts: VerdictFacts): "alive" | "dead" | "unknown" {
  const { device, daemonSays, peerName } = facts;
  const isPinged = device.pings.has(peerName);
  if (device.pings.get(peerName) !== undefined || receivedMeanwhile(peer)) return "alive";
  if (daemonSays === "unreachable" || daemonSays === "receiving") return "dead";
  if (isPinged) return "unknown";
  if (daemonSays === "reachable") return "alive";
  return (handshakeAgeMs(peer) ?? Infinity) < FRESH_HANDSHAKE_MS ? "alive" : "unknown";
}

/** WireGuard got something from the peer between our first look at the device and the last. */
function receivedMeanwhile({ device, config, onDevice }: PeerFacts): boolean {
  const before = device.peers.find(({ publicKey }) => Buffer.compare(publicKey, config.publicKey) === 0);
  return before !== undefined && (onDevice?.receivedBytes ?? 0) > before.receivedBytes;
}

function isNotKnown(peer: PeerFacts, { device, peerName }: VerdictFacts): Sentence {
  const age = formatDuration(handshakeAgeMs(peer) ?? 0);
  const text = `not known whether it works now: the last handshake was ${age} ago, and nothing was heard from the peer while this ran`;
  return device.pings.has(peerName)
    ? {
        text: `${text}, no answer of its ping target either`,
        hint: "run it again in a minute; or ping the peer yourself",
      }
    : {
        text,
        hint: "send something through the tunnel and run it again; with a ping target the doctor does that itself",
      };
}

function works(peer: PeerFacts, { findings }: VerdictFacts): Sentence {
  const subject = `${peer.interface}/${peer.config.name}`;
  const endpoint = peer.onDevice?.endpoint;
  const where = endpoint ? ` with ${formatTransportAddress(endpoint)}` : "";
  const trouble = findings.find(
    ({ level, subject: about, check }) =>
      (level === "fail" || level === "warn") && (about === subject || check === "udp" || check === "store"),
  );
  const text = `works: the last handshake${where} was ${formatDuration(handshakeAgeMs(peer) ?? 0)} ago`;
  return trouble ? { text: `${text}; but: ${trouble.text}`, ...(trouble.hint && { hint: trouble.hint }) } : { text };
}

function findCause(facts: VerdictFacts, subject: string): Sentence | undefined {
  const { device, peer, nat, stores, findings } = facts;
  const find = (check: CheckId, about?: string) =>
    findings.find(
      (one) => one.level === "fail" && one.check === check && (about === undefined || one.subject === about),
    );
  const ofDevice = (["program", "privileges"] as const).map((check) => find(check)).find(Boolean);
  if (ofDevice) return ofDevice;
  if (!device.device) return find("device", device.config.name) ?? { text: "there is no WireGuard interface" };
  for (const check of groundFailures) {
    const found = find(check, subject) ?? find(check, device.config.name);
    if (found) return found;
  }
  if (!peer) return undefined;
  const foreign = find("own-record", subject);
  if (foreign && /another host/.test(foreign.text)) return foreign;
  const silence = explainNoAddress(nat);
  if (silence) return silence;
  const down = stores.length > 0 && stores.every(({ failed }) => failed) ? stores[0] : undefined;
  if (down?.failed) return storeFails({ store: down.name, message: down.failed.message });
  const record = recordOf(peer);
  const bad = find("record", subject);
  const unpublished = find("own-record", subject);
  if (peer.found.length === 0 && bad && unpublished && !peer.servedBy) {
    // Before the first start: not a fault yet.
    return { text: `${bad.text}, nor has this host for the peer`, hint: `start "stunmesh-ts run" here; ${bad.hint}` };
  }
  if (!record && bad) return bad;
  return explainNats(facts) ?? find("own-record", subject);
}

/** Without any own address the peer cannot know where we are. */
function explainNoAddress(nat: OwnNat): Sentence | undefined {
  const families = [nat.ipv4, nat.ipv6].flatMap((one) => one ?? []);
  if (families.length === 0 || families.some((one) => mappedOf(one))) return undefined;
  return families.map(explainSilence).find(Boolean);
}

function explainNats({ peer, nat }: VerdictFacts): Sentence | undefined {
  const candidate = peer && candidateOf(peer);
  const own = candidate && nat[candidate.family];
  if (!peer || !candidate || !own) return undefined;
  const mine: NatSide = {
    mapping: own.observation && summarizeMapping(own.observation),
    filtering: own.portFiltering === "endpoint-independent" ? own.portFiltering : own.filtering,
  };
  const theirs: NatSide = { mapping: mappingOf(recordOf(peer)?.nat), filtering: "unknown" };
  const why = explainPair(mine, theirs);
  if (why) return { text: why.text, hint: pairHint };
  if (candidate.host === mappedOf(own)?.host && own.hairpins === false) {
    return {
      text: `the peer is behind the same NAT (${candidate.host}), which does not send back what comes from inside`,
      hint: "set the peer's Endpoint to its local address, or switch hairpinning (NAT loopback) on in the router",
    };
  }
  return undefined;
}

/** A tunnel without keepalive and traffic has no session: that is no fault, but nobody can tell. */
function explainIdle({ onDevice, nowMs }: PeerFacts): Sentence | undefined {
  if (!onDevice || onDevice.persistentKeepalive > 0 || onDevice.latestHandshakeMs === undefined) return undefined;
  const age = formatDuration(nowMs - onDevice.latestHandshakeMs);
  const text = `idle or dead: there is no keepalive, so the NAT forgets the mapping of an idle tunnel; the last handshake was ${age} ago`;
  return { text, hint: "set PersistentKeepalive = 25 on both sides" };
}

function explainDead(peer: PeerFacts, { nat }: VerdictFacts): Sentence {
  const endpoint = peer.onDevice?.endpoint ?? candidateOf(peer);
  const where = endpoint ? formatTransportAddress(endpoint) : "the peer";
  const own = endpoint && nat[endpoint.family];
  const isKnown = own?.observation !== undefined && recordOf(peer)?.nat !== undefined;
  const text = isKnown
    ? `nothing comes back from ${where}, though both NATs would let this pair connect: the peer is off, has another key for this host, or a firewall drops UDP`
    : `nothing comes back from ${where}: the peer is off, has another key for this host, its NAT is symmetric, or a firewall drops UDP`;
  return { text, hint: "run the doctor at the peer: it often knows more" };
}
