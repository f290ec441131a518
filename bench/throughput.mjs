// What the daemons cost a tunnel: iperf3 through it with a daemon on both hosts ("running"), and with none ("stopped",
// and once more as "control": how much two equal runs differ). As root:
// `node bench/throughput.mjs [ROUNDS=8] [SECONDS=3] [REFRESH_INTERVAL=10m]`.
//
// The three runs of a round come one after the other and in changing order, because a machine's speed drifts. The daemons
// ping every second. The laboratory's WireGuard runs in userspace and needs all of the processor, so that whatever the
// daemons take is missing.
import { readFileSync } from "node:fs";
import { loadLab, median } from "./load-lab.mjs";

const TARGET = 0.97;
const [rounds = 8, seconds = 3] = process.argv.slice(2, 4).map(Number);
const [refreshInterval = "10m"] = process.argv.slice(4);
const { openLab, meshConfig, startDaemon, waitForTunnel } = await loadLab({
  script: "bench/throughput.mjs",
  commands: { iperf3: "iperf3" },
});

const lab = await openLab({ sites: [{ nat: "port" }, { nat: "port" }] });
try {
  const hosts = [lab.host(1), lab.host(2)];
  const [one, two] = hosts;
  const startDaemons = () =>
    Promise.all(
      hosts.map((host) => {
        const peers = hosts.filter((peer) => peer !== host);
        const options = { peers, stun: [lab.stun.stun1.ipv4], refreshInterval, ping: true };
        return startDaemon(lab, host, { config: meshConfig(lab, host, options), args: ["--log-format", "json"] });
      }),
    );
  const stopDaemons = (daemons) => Promise.all(daemons.map((daemon) => daemon.process.stop()));
  const measure = async () => {
    const argv = ["iperf3", "--client", two.tunnel4, "--time", `${seconds}`, "--json"];
    const { end } = JSON.parse(await lab.exec(one.name, argv, { timeoutMs: seconds * 1000 + 20_000 }));
    return end.sum_received.bits_per_second / 1e6;
  };
  /** Of each daemon in each run: part of a core. */
  const cpuShares = [];
  const measureWithDaemons = async () => {
    const daemons = await startDaemons();
    // Each has pinged, so that its start is over.
    await Promise.all(daemons.map((daemon) => daemon.waitForEvent({ msg: "peer reachable" })));
    const before = daemons.map(readCpuS);
    const result = await measure();
    cpuShares.push(...daemons.map((daemon, index) => (readCpuS(daemon) - before[index]) / seconds));
    await stopDaemons(daemons);
    return result;
  };

  await lab.spawn(two.name, ["iperf3", "--server"]);
  const first = await startDaemons();
  await waitForTunnel(lab, hosts);
  await stopDaemons(first);
  await measure();

  const kinds = ["running", "stopped", "control"];
  const results = [];
  for (let index = 0; index < rounds; index++) {
    const round = {};
    for (let turn = 0; turn < kinds.length; turn++) {
      const kind = kinds[(index + turn) % kinds.length];
      round[kind] = kind === "running" ? await measureWithDaemons() : await measure();
    }
    results.push(round);
    const text = kinds.map((kind) => `${kind} ${round[kind].toFixed(0)}`).join(", ");
    console.log(`round ${index + 1}: ${text} Mbit/s`);
  }
  for (const kind of kinds) {
    console.log(`${kind.padEnd(8)} median ${median(results.map((round) => round[kind])).toFixed(0)} Mbit/s`);
  }
  console.log(`a daemon took ${(100 * median(cpuShares)).toFixed(1)} % of a core`);
  describeRatios(
    "control / stopped (the noise)",
    results.map(({ control, stopped }) => control / stopped),
  );
  const ratios = results.flatMap(({ running, stopped, control }) => [running / stopped, running / control]);
  const ratio = describeRatios("running / stopped", ratios);
  console.log(`target >= ${TARGET}: ${ratio >= TARGET ? "met" : "MISSED"}`);
} finally {
  await lab.close();
}

/** Prints the median and the quartiles; returns the median. */
function describeRatios(name, ratios) {
  const sorted = [...ratios].sort((a, b) => a - b);
  const quartile = (part) => sorted[Math.round(part * (sorted.length - 1))].toFixed(3);
  console.log(`${name}: median ${median(sorted).toFixed(3)}, quartiles ${quartile(0.25)} and ${quartile(0.75)}`);
  return median(sorted);
}

/** CPU time a daemon has taken so far. proc(5): utime and stime are fields 14 and 15, in hundredths of a second. */
function readCpuS({ process }) {
  const fields = readFileSync(`/proc/${process.pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
