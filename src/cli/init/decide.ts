/** From the command line, from WireGuard and from a person to a plan. Without a terminal every question has its preset. */
import { decodePublicKey } from "../../config/fields.ts";
import { StunmeshError } from "../../errors.ts";
import type { FoundDevice, FoundPeer } from "./devices.ts";
import {
  type InitOptions,
  KEY_PROBLEM,
  type PeerFlag,
  parsePeerFlag,
  parseStoreAnswer,
  parseStoreFlag,
} from "./flags.ts";
import {
  type InitPlan,
  type InitProtocol,
  initProtocols,
  type PlannedInterface,
  type PlannedPeer,
  type PlannedStore,
  pingTarget,
  type StoreValue,
  suggestPeerName,
} from "./plan.ts";
import { type StoreOffer, type StoreQuestion, storeOffers } from "./stores.ts";
import type { Checked, Terminal } from "./terminal.ts";

const STUN_SERVERS: readonly string[] = ["stun.l.google.com:19302", "stun.cloudflare.com:3478"];

/** Names of peers, as the schema of the file has them. */
const peerName = /^[^\p{Cc}\p{Zl}\p{Zp}]{1,200}$/u;

export interface DecideContext {
  readonly devices: readonly FoundDevice[];
  /** undefined: nobody can be asked. */
  readonly terminal: Terminal | undefined;
  /** What the configuration's own rules say about a store; empty = it is right. */
  checkStore(store: PlannedStore): Promise<readonly string[]>;
}

/** Decides everything. Throws USAGE when an answer cannot be used, or is missing and cannot be asked for. */
export async function decide(options: InitOptions, context: DecideContext): Promise<InitPlan> {
  const interfaces = await decideInterfaces(options, context);
  const store = await decideStore(options, context);
  const { terminal } = context;
  const stun =
    options.stun ??
    (await terminal?.ask("STUN servers, with commas between", {
      preset: STUN_SERVERS.join(","),
      check: (answer) => ({ value: answer.split(",").map((server) => server.trim()) }),
    }));
  const protocol =
    options.protocol ??
    (await terminal?.ask(`Addresses of this host to use (${initProtocols.join(", ")})`, {
      preset: initProtocols[0],
      check: (answer): Checked<InitProtocol> => {
        const value = initProtocols.find((word) => word === answer);
        return value ? { value } : { problem: `one of ${initProtocols.join(", ")}` };
      },
    }));
  const canPing = interfaces.some(({ peers }) => peers.some((peer) => pingTarget(peer) !== undefined));
  const ping = options.ping ?? (canPing && (await terminal?.ask("Watch the peers by ping, yes or no", yesOrNo)));
  return { interfaces, store, stun: stun ?? STUN_SERVERS, protocol: protocol ?? "ipv4", ping: ping ?? false };
}

/** Without pings a tunnel that died is noticed after minutes. */
const yesOrNo = {
  preset: "yes",
  check(answer: string): Checked<boolean> {
    if (!/^(?:y|yes|n|no)$/i.test(answer)) return { problem: "yes or no" };
    return { value: /^y/i.test(answer) };
  },
};

async function decideInterfaces(options: InitOptions, context: DecideContext): Promise<readonly PlannedInterface[]> {
  const flags = (options.peer ?? []).map(parsePeerFlag);
  const devices = flags.length > 0 ? context.devices : await chooseDevices(options, context);
  const planned: PlannedInterface[] = [];
  const owners = flags.map((flag) => ownerOf(flag, devices));
  for (const { name, publicKey, peers: found } of devices) {
    const own = flags.filter((_, index) => owners[index] === name);
    const peers =
      flags.length > 0 ? own.map((flag) => fromFlag(flag, found)) : await namePeers(name, { found, context });
    if (peers.length > 0) planned.push({ name, ...(publicKey !== undefined && { publicKey }), peers });
  }
  if (planned.length > 0) return planned;
  const names = devices.map(({ name }) => name).join(", ");
  throw new StunmeshError(
    "USAGE",
    `Cannot write a configuration without peers: ${names} has none; give --peer NAME=KEY`,
  );
}

async function chooseDevices(options: InitOptions, { devices, terminal }: DecideContext) {
  if (!terminal || options.interface || devices.length < 2) return devices;
  return terminal.ask("Interfaces, with commas between", {
    preset: devices.map(({ name }) => name).join(","),
    check(answer) {
      const names = answer.split(",").map((name) => name.trim());
      const unknown = names.find((wanted) => !devices.some(({ name }) => name === wanted));
      if (unknown !== undefined) return { problem: `"${unknown}" is none of them` };
      return { value: devices.filter(({ name }) => names.includes(name)) };
    },
  });
}

/** The interface a `--peer` is of: the one it names, the one that has the peer, or the only one. Throws USAGE. */
function ownerOf(flag: PeerFlag, devices: readonly FoundDevice[]): string {
  const having = devices.find(({ peers }) => peers.some(({ publicKey }) => publicKey === flag.publicKey));
  const owner = flag.interface ?? having?.name ?? (devices.length === 1 ? devices[0]?.name : undefined);
  if (owner !== undefined && devices.some(({ name }) => name === owner)) return owner;
  const names = devices.map(({ name }) => name).join(", ");
  const why = owner === undefined ? "no interface has this peer" : `there is no interface "${owner}"`;
  throw new StunmeshError(
    "USAGE",
    `Cannot place --peer "${flag.name}": ${why}; write INTERFACE/NAME=KEY with one of ${names}`,
  );
}

function fromFlag({ name, publicKey }: PeerFlag, found: readonly FoundPeer[]): PlannedPeer {
  const known = found.find((peer) => peer.publicKey === publicKey);
  return { name, publicKey, allowedIps: known?.allowedIps ?? [] };
}

async function namePeers(
  device: string,
  { found, context: { terminal } }: { readonly found: readonly FoundPeer[]; readonly context: DecideContext },
): Promise<readonly PlannedPeer[]> {
  const peers: PlannedPeer[] = [];
  const taken = () => peers.map(({ name }) => name);
  const check = (answer: string): Checked<string> => {
    if (!peerName.test(answer)) return { problem: "a name of up to 200 characters on one line" };
    return taken().includes(answer) ? { problem: `"${answer}" is the name of another peer` } : { value: answer };
  };
  for (const [index, { publicKey, allowedIps }] of found.entries()) {
    const preset = suggestPeerName({ allowedIps, number: index + 1 }, taken());
    const what = [publicKey, ...allowedIps].join(" ");
    const name = terminal
      ? await terminal.ask(`${device}: name of the peer ${what} (- leaves it out)`, { preset, check })
      : preset;
    if (name !== "-") peers.push({ name, publicKey, allowedIps });
  }
  if (terminal && found.length === 0) {
    terminal.say(`${device} has no peers yet.`);
    const publicKey = await terminal.ask(`${device}: public key of a peer`, {
      check: (answer) => (decodePublicKey(answer) ? { value: answer } : { problem: KEY_PROBLEM }),
    });
    const name = await terminal.ask(`${device}: a name for it`, { preset: "peer1", check });
    peers.push({ name, publicKey, allowedIps: [] });
  }
  return peers;
}

async function decideStore(options: InitOptions, context: DecideContext): Promise<PlannedStore> {
  const { terminal } = context;
  const offer = storeOffers.find(({ kind }) => kind === options.store) ?? (await terminal?.ask(...storeMenu()));
  if (!offer) throw new StunmeshError("USAGE", "Cannot choose a store: --store is missing");
  const flags = Object.fromEntries((options.storeOption ?? []).map((text) => parseStoreFlag(text, offer.kind)));
  for (;;) {
    const values: Record<string, StoreValue> = {};
    let wasAsked = false;
    for (const question of offer.questions) {
      const { key, sameAs } = question;
      if (sameAs !== undefined && Object.hasOwn(flags, sameAs)) continue;
      const isGiven = Object.hasOwn(flags, key);
      const value = isGiven ? flags[key] : await answerOf(question, { kind: offer.kind, terminal });
      wasAsked ||= !isGiven && terminal !== undefined;
      if (value !== undefined) values[key] = value;
    }
    const store = { kind: offer.kind, options: { ...values, ...flags } };
    const problems = await context.checkStore(store);
    if (problems.length === 0) return store;
    if (!terminal || !wasAsked) {
      throw new StunmeshError("USAGE", `Cannot use the store "${offer.kind}": ${problems.join("; ")}`);
    }
    for (const problem of problems) terminal.say(`  ${problem}`);
  }
}

function storeMenu() {
  const lines = storeOffers.map(
    ({ kind, summary }, index) => `${String(index + 1).padStart(4)}  ${kind}: ${summary}\n`,
  );
  const check = (answer: string): Checked<StoreOffer> => {
    const value = storeOffers.find(({ kind }, index) => answer === kind || answer === String(index + 1));
    return value ? { value } : { problem: `a number from 1 to ${storeOffers.length}, or a name of the list` };
  };
  return [`Where do the hosts leave their addresses for each other?\n${lines.join("")}Store`, { check }] as const;
}

/** undefined: it is left out. Nobody is there to be asked: only what must be given has a preset then. */
async function answerOf(
  { key, question, preset, isOptional = false, isSecret = false }: StoreQuestion,
  { kind, terminal }: { readonly kind: string; readonly terminal: Terminal | undefined },
): Promise<StoreValue | undefined> {
  const parse = (answer: string) => parseStoreAnswer(answer, { kind, key, isSecret });
  if (!terminal) {
    const parsed = isOptional || preset === undefined ? undefined : parse(preset);
    return parsed && "value" in parsed ? parsed.value : undefined;
  }
  const hint = [isSecret ? "file:PATH or env:NAME" : "", isOptional ? `${preset ? "-" : "empty"} = none` : ""];
  const notes = hint.filter((note) => note !== "").join(", ");
  return terminal.ask(notes === "" ? question : `${question} (${notes})`, {
    ...(preset !== undefined && { preset }),
    check(answer): Checked<StoreValue | undefined> {
      if (isOptional && (answer === "" || answer === "-")) return { value: undefined };
      return answer === "" ? { problem: "this cannot be left out" } : parse(answer);
    },
  });
}
