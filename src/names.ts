/**
 * Names of hosts to IP addresses, so that one that hangs delays nobody else and can be cancelled.
 *
 * getaddrinfo(3) cannot be cancelled and takes one of four threads, which files need, too: a handful of names that hang stop a
 * whole process, and keep it from ending. So the order of nsswitch.conf(5) is followed without it as far as that goes:
 * hosts(5), then DNS by Node's own resolver (c-ares), and only for what DNS does not know (mDNS, a name without a dot, other
 * modules) the system's, two at a time. macOS has resolvers that only the system knows: there it is asked first.
 */
import { type LookupAddress, lookup as systemLookup } from "node:dns";
import { Resolver } from "node:dns/promises";
import { setMaxListeners } from "node:events";
import { readFile } from "node:fs/promises";
import type { LookupFunction } from "node:net";
import { abortable } from "./abortable.ts";
import { parseIp } from "./address.ts";

const HOSTS_FILE = "/etc/hosts";
const MAX_HOSTS_CHARS = 1_000_000;
/** RFC 6761: not a matter of DNS. */
const LOOPBACK: readonly LookupAddress[] = [
  { address: "127.0.0.1", family: 4 },
  { address: "::1", family: 6 },
];
/** For each server of resolv.conf; whoever asks has a deadline of his own. */
const DNS_TIMEOUT_MS = 2_000;
const DNS_TRIES = 2;
/** Of the four threads two stay free for files. */
const MAX_SYSTEM_LOOKUPS = 2;
/** The name, or an address of it, does not exist: an answer, unlike silence. */
const absentCodes: ReadonlySet<unknown> = new Set(["ENOTFOUND", "ENODATA", "EBADNAME"]);

export interface LookupRequest {
  /** 0 = both. */
  readonly family: 0 | 4 | 6;
  readonly signal: AbortSignal;
}

interface Sources {
  readonly platform: NodeJS.Platform;
  readHosts(): Promise<string>;
  askDns(host: string, request: LookupRequest): Promise<readonly LookupAddress[]>;
  askSystem(host: string, family: 0 | 4 | 6): Promise<readonly LookupAddress[]>;
}

/** All addresses of a host, best first; rejects with ENOTFOUND when it has none, and with the signal's reason when aborted. */
export type LookupName = (host: string, request: LookupRequest) => Promise<readonly LookupAddress[]>;

/** Makes a look-up. `sources` are the system's own by default. */
export function createLookup(sources: Partial<Sources> = {}): LookupName {
  const {
    platform = process.platform,
    readHosts = readHostsFile,
    askDns = queryDns,
    askSystem = querySystem,
  } = sources;
  const underWay = new Set<Promise<unknown>>();

  async function askSystemInTurn(host: string, { family, signal }: LookupRequest): Promise<readonly LookupAddress[]> {
    while (underWay.size >= MAX_SYSTEM_LOOKUPS) await abortable(Promise.race(underWay), signal);
    signal.throwIfAborted();
    const asked = askSystem(host, family);
    // One that nobody waits for any more has its thread still.
    const ended: Promise<unknown> = asked.then(
      () => underWay.delete(ended),
      () => underWay.delete(ended),
    );
    underWay.add(ended);
    return abortable(asked, signal);
  }

  return async (host, request) => {
    const { family, signal } = request;
    const fits = (found: readonly LookupAddress[]) => found.filter((one) => family === 0 || one.family === family);
    const literal = parseIp(host);
    if (literal) return fits([{ address: host, family: literal.length === 4 ? 4 : 6 }]);
    const name = host.toLowerCase().replace(/\.$/, "");
    const listed = fits(addressesInHosts(await readHosts().catch(() => ""), name));
    if (listed.length > 0) return listed;
    if (name === "localhost" || name.endsWith(".localhost")) return fits(LOOPBACK);
    // A name without a dot may have a search domain, and .local is of mDNS (RFC 6762).
    if (platform === "darwin" || !name.includes(".") || name.endsWith(".local")) return askSystemInTurn(host, request);
    try {
      return await askDns(host, request);
    } catch (error) {
      signal.throwIfAborted();
      if (!isAbsent(error)) throw error;
      return askSystemInTurn(host, request);
    }
  };
}

/** Not one for each call: nothing is ever added to it that stays. */
const NEVER = new AbortController().signal;
setMaxListeners(0, NEVER);

/** The look-up of this process. */
export const lookupName = createLookup();

/** The same as net.connect() and its like want it. */
export const lookupForSocket: LookupFunction = (host, { family, all }, callback) => {
  const wanted = family === 4 || family === "IPv4" ? 4 : family === 6 || family === "IPv6" ? 6 : 0;
  // A socket has no signal to give: the look-up ends by its own deadlines.
  lookupName(host, { family: wanted, signal: NEVER }).then(
    (found) => {
      const [first] = found;
      if (!first) callback(notFound(host), "");
      else if (all) callback(null, [...found]);
      else callback(null, first.address, first.family);
    },
    (error: unknown) => callback(error instanceof Error ? error : notFound(host), ""),
  );
};

/** What hosts(5) says about a name in lower case. */
export function addressesInHosts(text: string, name: string): readonly LookupAddress[] {
  return text.split("\n").flatMap((line) => {
    const [address = "", ...names] = (line.split("#", 1)[0] ?? "").trim().split(/\s+/);
    const bytes = names.some((one) => one.toLowerCase() === name) ? parseIp(address) : undefined;
    return bytes ? { address, family: bytes.length === 4 ? 4 : 6 } : [];
  });
}

async function readHostsFile(): Promise<string> {
  return (await readFile(HOSTS_FILE, "latin1")).slice(0, MAX_HOSTS_CHARS);
}

/** A resolver of its own for each question: it reads resolv.conf(5) anew, and cancels nobody else's. */
async function queryDns(host: string, { family, signal }: LookupRequest): Promise<readonly LookupAddress[]> {
  signal.throwIfAborted();
  const resolver = new Resolver({ timeout: DNS_TIMEOUT_MS, tries: DNS_TRIES });
  const onAbort = () => resolver.cancel();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const questions = [
      ...(family === 6
        ? []
        : [resolver.resolve4(host).then((found) => found.map((address) => ({ address, family: 4 })))]),
      ...(family === 4
        ? []
        : [resolver.resolve6(host).then((found) => found.map((address) => ({ address, family: 6 })))]),
    ];
    const answers = await Promise.allSettled(questions);
    signal.throwIfAborted();
    const found = answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
    if (found.length > 0) return found;
    const failures = answers.flatMap((answer) => (answer.status === "rejected" ? [answer.reason] : []));
    const silent = failures.find((error) => !isAbsent(error));
    throw silent === undefined ? notFound(host) : noAnswer(host, silent);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

function querySystem(host: string, family: 0 | 4 | 6): Promise<readonly LookupAddress[]> {
  return new Promise((resolve, reject) => {
    systemLookup(host, { all: true, family, order: "verbatim" }, (error, addresses) => {
      if (error) reject(error);
      else resolve(addresses);
    });
  });
}

/** Whether an error says that there is no such name or address. */
export function isAbsent(error: unknown): boolean {
  return error instanceof Error && "code" in error && absentCodes.has(error.code);
}

/** As getaddrinfo(3) says it. */
function notFound(host: string): Error {
  return Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: "ENOTFOUND" });
}

/** The same: a code like ECONNREFUSED is of the name server, and must not be taken for one of `host`. */
function noAnswer(host: string, cause: unknown): Error {
  return Object.assign(new Error(`getaddrinfo EAI_AGAIN ${host}`, { cause }), { code: "EAI_AGAIN" });
}
