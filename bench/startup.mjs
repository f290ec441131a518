// How long a start takes: from the start of the process to its first STUN request on the wire, against a Node that does
// nothing; and the memory it took. As root: `node bench/startup.mjs [RUNS=15]`.
//
// tcpdump tells when the request passed the host's interface. Both kinds of run are started the same way and take turns.
import { readFileSync } from "node:fs";
import { loadLab, median } from "./load-lab.mjs";

const TARGET = 2.5;
const [runs = 15] = process.argv.slice(2).map(Number);
const { openLab, meshConfig, startDaemon } = await loadLab({ script: "bench/startup.mjs" });

const lab = await openLab({ sites: [{ nat: "direct" }, { nat: "direct" }] });
try {
  const [host, peer] = lab.hosts;
  const config = meshConfig(lab, host, { peers: [peer], stun: [lab.stun.stun1.ipv4] });
  const filter = ["udp", "and", "dst", "port", "3478"];
  const tcpdump = await lab.spawn(host.name, [
    "tcpdump",
    "--immediate-mode",
    "-l",
    "-n",
    "-tt",
    "-i",
    "eth0",
    ...filter,
  ]);
  await tcpdump.waitForLine((line) => line.startsWith("listening on"));

  const startEmpty = async () => {
    const startedAtMs = Date.now();
    const { exited } = await lab.spawn(host.name, [process.execPath, "-e", "0"]);
    await exited;
    return Date.now() - startedAtMs;
  };
  const startProgram = async () => {
    const captured = tcpdump.lines.length;
    const startedAtMs = Date.now();
    const daemon = await startDaemon(lab, host, { config, args: ["--log-format", "json"] });
    await daemon.waitForEvent({ msg: "endpoint published" });
    const [, peakKb] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${daemon.process.pid}/status`, "utf8"));
    await daemon.process.stop();
    const requestAtMs = Number(tcpdump.lines[captured].split(" ")[0]) * 1000;
    return { ms: requestAtMs - startedAtMs, peakMiB: Number(peakKb) / 1024 };
  };

  await startEmpty();
  await startProgram();
  const results = [];
  for (let index = 0; index < runs; index++) {
    const emptyMs = await startEmpty();
    results.push({ emptyMs, ...(await startProgram()) });
  }
  const column = (name) => results.map((result) => result[name]);
  const range = (name) => `${Math.min(...column(name)).toFixed(0)} to ${Math.max(...column(name)).toFixed(0)}`;
  const ratio = median(column("ms")) / median(column("emptyMs"));
  console.log(`first STUN request after ${median(column("ms")).toFixed(0)} ms (${range("ms")})`);
  console.log(`"node -e 0" ends after   ${median(column("emptyMs")).toFixed(0)} ms (${range("emptyMs")})`);
  console.log(`ratio ${ratio.toFixed(2)}, target <= ${TARGET}: ${ratio <= TARGET ? "met" : "MISSED"}`);
  console.log(`peak memory ${Math.max(...column("peakMiB")).toFixed(0)} MiB`);
} finally {
  await lab.close();
}
