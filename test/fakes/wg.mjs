// A wg(8) as far as `wg show interfaces`, `wg show NAME dump` and `wg set NAME peer KEY endpoint ADDRESS ...` go. Keeps
// its state in the file state.json beside itself: { devices: { NAME: FakeDevice }, calls: [arguments], misbehaviour }.
// Like the real one it creates a peer that is not there.
import { spawn } from "node:child_process";
import { readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";

const file = new URL("state.json", import.meta.url);
const state = JSON.parse(readFileSync(file, "utf8"));
const args = process.argv.slice(2);
state.calls.push({ args, env: process.env });
save();

const { misbehaviour } = state;
switch (misbehaviour?.kind) {
  case "hang": {
    // A child of its own, so that only the end of the whole process group ends everything.
    const child = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { stdio: "inherit" });
    state.pids = [process.pid, child.pid];
    save();
    setInterval(() => undefined, 1000);
    break;
  }
  case "huge":
    for (;;) writeSync(1, "x".repeat(65536));
  case "text":
    writeSync(1, misbehaviour.text);
    break;
  case "fail":
    writeSync(2, misbehaviour.stderr);
    process.exitCode = misbehaviour.exitCode ?? 1;
    break;
  default:
    run();
}

function run() {
  const [command, name, ...rest] = args;
  const device = state.devices[name];
  if (command === "show" && name === "interfaces") {
    writeSync(1, `${Object.keys(state.devices).join(" ")}\n`);
  } else if (!device) {
    fail(`Unable to ${command === "show" ? "access" : "modify"} interface: No such device`);
  } else if (command === "show" && rest.length === 1 && rest[0] === "dump") {
    writeSync(1, dump(device));
  } else if (command === "set") {
    for (let at = 0; at < rest.length; at += 4) {
      const [peerWord, publicKey, endpointWord, endpoint] = rest.slice(at, at + 4);
      if (peerWord !== "peer" || endpointWord !== "endpoint") return fail(`Invalid argument: ${peerWord}`);
      if (publicKey.length !== 44) return fail(`Key is not the correct length or format: \`${publicKey}'`);
      let peer = device.peers.find((other) => other.publicKey === publicKey);
      if (!peer) {
        peer = {
          publicKey,
          allowedIps: [],
          latestHandshake: 0,
          receivedBytes: 0,
          sentBytes: 0,
          persistentKeepalive: 0,
        };
        device.peers.push(peer);
      }
      peer.endpoint = endpoint;
    }
    save();
  } else fail(`Invalid subcommand: \`${command}'`);
}

function dump({ privateKey, publicKey, listenPort, firewallMark, peers }) {
  const mark = firewallMark === 0 ? "off" : `0x${firewallMark.toString(16)}`;
  const lines = [[privateKey ?? "(none)", publicKey ?? "(none)", listenPort, mark]];
  for (const peer of peers) {
    lines.push([
      peer.publicKey,
      peer.presharedKey ?? "(none)",
      peer.endpoint ?? "(none)",
      peer.allowedIps.join(",") || "(none)",
      peer.latestHandshake,
      peer.receivedBytes,
      peer.sentBytes,
      peer.persistentKeepalive || "off",
    ]);
  }
  return lines.map((line) => `${line.join("\t")}\n`).join("");
}

function save() {
  // In one step: a test may be reading.
  // Several may run at once.
  writeFileSync(`${file.pathname}.${process.pid}`, JSON.stringify(state));
  renameSync(`${file.pathname}.${process.pid}`, file.pathname);
}

function fail(message) {
  writeSync(2, `${message}\n`);
  process.exitCode = 1;
}
