// What a daemon costs that has nothing to do: ten peers that work, each pinged every second. As root:
// `node bench/idle.mjs [SECONDS=60]`.
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { loadLab } from "./load-lab.mjs";

const PEERS = 10;
const TARGET_PERCENT = 0.5;
const TARGET_MIB = 80;
const [seconds = 60] = process.argv.slice(2).map(Number);
const { openLab, meshConfig, startDaemon, waitForTunnel } = await loadLab({ script: "bench/idle.mjs" });

const lab = await openLab({ sites: Array.from({ length: PEERS + 1 }, () => ({ nat: "direct" })) });
try {
  const [host, ...peers] = lab.hosts;
  const options = { stun: [lab.stun.stun1.ipv4], ping: true };
  const daemon = await startDaemon(lab, host, {
    config: meshConfig(lab, host, { peers, ...options }),
    args: ["--log-format", "json"],
  });
  for (const peer of peers) {
    await startDaemon(lab, peer, { config: meshConfig(lab, peer, { peers: [host], ...options, ping: false }) });
  }
  await Promise.all(peers.map((peer) => waitForTunnel(lab, [host, peer], { timeoutMs: 60_000 })));
  await pause(10_000);
  const before = cpuSeconds(daemon.process.pid);
  await pause(seconds * 1000);
  const percent = (100 * (cpuSeconds(daemon.process.pid) - before)) / seconds;
  const status = readFileSync(`/proc/${daemon.process.pid}/status`, "utf8");
  const mib = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)[1]) / 1024;
  const peak = Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)[1]) / 1024;
  console.log(`${PEERS} peers, pinged every second: ${percent.toFixed(2)} % of a core, target < ${TARGET_PERCENT} %`);
  console.log(`memory ${mib.toFixed(0)} MiB (peak ${peak.toFixed(0)}), target < ${TARGET_MIB} MiB`);
  console.log(percent < TARGET_PERCENT && mib < TARGET_MIB ? "met" : "MISSED");
} finally {
  await lab.close();
}

function cpuSeconds(pid) {
  const times = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /s, "")
    .split(" ");
  return (Number(times[11]) + Number(times[12])) / 100;
}
