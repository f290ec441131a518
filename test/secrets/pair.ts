/**
 * A program: two hosts of the fake world find each other through real stores, with the program's real log at `trace` on
 * standard output (json) and standard error (console). Its argument is a folder with the plugins' scripts; it writes there
 * what nobody may see, and ends when both hosts reach each other.
 */
import { setMaxListeners } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { formatTransportAddress } from "../../src/address.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import type { NamedStore } from "../../src/exchange.ts";
import { startInterfaceLoop } from "../../src/interface-loop.ts";
import { createLog, type Log } from "../../src/log.ts";
import { openStore } from "../../src/plugins/index.ts";
import { sealRecord, storageKey } from "../../src/record.ts";
import { createWorld, type Host } from "../fakes/world.ts";

const [dir = "", token = ""] = process.argv.slice(2);

/** Ten times as fast as the machine's: WireGuard's retries are 5 s apart. */
const SPEED = 10;
const clock: Clock = {
  now: () => systemClock.now() * SPEED,
  monotonic: () => systemClock.monotonic() * SPEED,
  sleep: (ms, signal) => systemClock.sleep(ms / SPEED, signal),
};

/** Writes every line to all of `logs`. */
function tee(logs: readonly Log[]): Log {
  const at = (level: "trace" | "debug" | "info" | "warn" | "error"): Log["info"] => {
    return (fields, message) => {
      for (const log of logs) log[level](fields, message);
    };
  };
  return {
    trace: at("trace"),
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    child: (fields) => tee(logs.map((log) => log.child(fields))),
  };
}

const log = tee([
  await createLog({ level: "trace", format: "json", fd: 1 }),
  await createLog({ level: "trace", format: "console", fd: 2 }),
]);

function openNamed(name: string, kind: string, options: object): [string, NamedStore] {
  const store = openStore({ name, kind, timeoutMs: 100_000, concurrency: 4, options }, { clock });
  return [name, { name, store, dedup: false }];
}

const stores = new Map([
  openNamed("files", "file", { path: join(dir, "files") }),
  openNamed("chatty", "shell", { command: join(dir, "chatty.sh"), args: ["--token", token] }),
  openNamed("broken", "shell", { command: join(dir, "broken.sh"), args: [`--token=${token}`] }),
  openNamed("broken-json", "exec", { command: join(dir, "broken-json.sh"), args: ["--token", token] }),
]);

const world = createWorld(clock);
const hosts = [world.addHost("site1"), world.addHost("site2")] as const;
world.connect(...hosts);

/** What is in the stores before: an own record in the peer's place, and one that was cut off. */
const [own, far] = hosts;
const outgoing = { senderKey: own.publicKey, receiverKey: far.publicKey };
const sealed = sealRecord({ endpoints: own.address, sequence: 1 }, { ...outgoing, privateKey: own.privateKey });
const keys = [outgoing, { senderKey: far.publicKey, receiverKey: own.publicKey }].map(storageKey);
for (const key of keys) {
  writeFileSync(join(dir, "files", key), sealed, { mode: 0o600 });
  writeFileSync(join(dir, "chatty", key), sealed.slice(0, -2));
}

writeFileSync(
  join(dir, "secrets.json"),
  JSON.stringify({ keys: hosts.map(({ privateKey }) => privateKey.toString("base64")), sealed: [sealed] }),
);

const stop = new AbortController();
setMaxListeners(0, stop.signal);

function start(host: Host, peer: Host): Promise<void> {
  return startInterfaceLoop(
    {
      config: {
        name: "wg0",
        protocol: "dualstack",
        capture: "auto",
        listenInterfaces: [],
        listenDefaultRoute: false,
        peers: [{ name: peer.name, publicKey: peer.publicKey, plugins: [...stores.keys()], protocol: "prefer_ipv4" }],
      },
      wireguard: host.wireguard,
      provoker: host.provoker,
      hostAddresses: () => ({ tunnel: [], all: [] }),
      async discover(_device, { family }) {
        const address = host.address[family];
        if (!address) throw new RangeError("the world gives every host both families");
        return { address, server: formatTransportAddress(address), rttMs: 10 };
      },
      observeMapping: async () => ({
        family: "ipv4",
        mapping: "endpoint-independent",
        behavior: "endpoint-independent",
      }),
      stores,
      clock,
      log: log.child({ interface: host.name }),
      random: Math.random,
      refreshIntervalMs: 600_000,
      pollIntervalMaxMs: 1_000,
      fixedRetries: 3,
      resolveTarget: async () => [],
    },
    stop.signal,
  ).ended;
}

const loops = [start(own, far), start(far, own)];
while (!world.works(own, far)) await clock.sleep(100);
stop.abort();
await Promise.all(loops);
await Promise.all([...stores.values()].map(({ store }) => store.close?.()));
