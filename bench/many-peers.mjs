// A thousand peers on one interface, none of which answers, and a store that takes 50 ms for each call: how long one
// refresh of all of them takes, and how much memory. As root: `node bench/many-peers.mjs [PEERS=1000] [CONCURRENCY=16]`.
//
// The store is a module that keeps its values in memory and counts its calls; `concurrency` is that of the plugin.
import { generateKeyPairSync } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { loadLab } from "./load-lab.mjs";

const LATENCY_MS = 50;
const TARGET_S = 5;
const TARGET_MIB = 150;
const [count = 1000, concurrency = 16] = process.argv.slice(2).map(Number);
const { openLab, meshConfig, startDaemon } = await loadLab({ script: "bench/many-peers.mjs" });

const lab = await openLab({ sites: [{ nat: "direct" }, { nat: "direct" }] });
try {
  const [host] = lab.hosts;
  const peers = Array.from({ length: count }, (_, index) => ({ ...makePeer(index), publicKey: makeKey() }));
  const addconf = join(lab.directory, "many.conf");
  const block = ({ publicKey, tunnel4 }) => `[Peer]\nPublicKey = ${publicKey}\nAllowedIPs = ${tunnel4}/32\n`;
  writeFileSync(addconf, peers.map(block).join(""));
  await lab.wg(host.name, ["addconf", host.wireguardInterface, addconf]);
  const path = join(lab.directory, "slow.mjs");
  writeFileSync(
    path,
    `import { setTimeout as pause } from "node:timers/promises";
export default () => ({
  async get(key, signal) { await pause(${LATENCY_MS}, undefined, { signal }); return []; },
  async set(key, value, signal) { await pause(${LATENCY_MS}, undefined, { signal }); },
});
`,
    { mode: 0o600 },
  );
  const plugins = { slow: { type: "module", path, concurrency } };
  const daemon = await startDaemon(lab, host, {
    config: meshConfig(lab, host, { peers, stun: [lab.stun.stun1.ipv4], plugins }),
    args: ["--log-format", "json"],
  });
  const { time: from } = await daemon.waitForEvent({ msg: "discovered IPv4 endpoint" });
  const { time: to } = await daemon.waitForEvent(
    { msg: "endpoint published", peer: `p${count - 1}` },
    { timeoutMs: 60_000 },
  );
  const published = daemon.events().filter(({ msg }) => msg === "endpoint published").length;
  const seconds = (Date.parse(to) - Date.parse(from)) / 1000;
  const [, peak] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${daemon.process.pid}/status`, "utf8"));
  const mib = Number(peak) / 1024;
  console.log(`${published} of ${count} peers published in ${seconds.toFixed(2)} s, ${concurrency} calls at a time`);
  console.log(`memory at its peak ${mib.toFixed(0)} MiB`);
  const isMet = seconds < TARGET_S && mib < TARGET_MIB;
  console.log(`target < ${TARGET_S} s and < ${TARGET_MIB} MiB: ${isMet ? "met" : "MISSED"}`);
} finally {
  await lab.close();
}

function makePeer(index) {
  return { name: `p${index}`, tunnel4: `10.98.${index >> 8}.${index & 255}` };
}

function makeKey() {
  const { publicKey } = generateKeyPairSync("x25519");
  return publicKey.export({ format: "der", type: "spki" }).subarray(-32).toString("base64");
}
