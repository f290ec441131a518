/** Whom the daemon tells how it is: hooks, Prometheus, the service manager. All on one tunnel that comes up and goes down. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { parsePrometheusText } from "../control/prometheus-parser.ts";
import { openServiceManager, type ServiceManager } from "../fakes/service-manager.ts";
import { type Daemon, meshConfig, startDaemon } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import { waitFor } from "./wait.ts";

const SCRAPE = `fetch("http://127.0.0.1:" + process.argv[1] + "/metrics").then((answer) => answer.text()).then(console.log)`;
/** Says what happened; down never ends. */
const HOOK = `echo "$STUNMESH_EVENT $STUNMESH_PEER $STUNMESH_ENDPOINT $(env | grep -c NOTIFY_) $$" >>"$0"
[ "$STUNMESH_EVENT" != down ] || { trap '' TERM; sleep 1000 & wait; sleep 1000; }`;

describe("outside", () => {
  let lab: Lab;
  let pair: readonly [LabHost, LabHost];
  let manager: ServiceManager;
  let reading: NodeJS.Timeout;
  let daemon: Daemon;
  let far: Daemon;
  let hookLog: string;
  const told: string[] = [];

  const configOf = (port: number) => ({
    ...meshConfig(lab, pair[0], { peers: [pair[1]], stun: [lab.stun.stun1.ipv4], ping: true }),
    metrics: { listen: `127.0.0.1:${port}` },
    hooks: Object.fromEntries(["on_up", "on_down", "on_endpoint"].map((on) => [on, ["sh", "-c", HOOK, hookLog]])),
  });
  const hooked = () => (existsSync(hookLog) ? readFileSync(hookLog, "utf8").trim().split("\n") : []);
  async function scrape(port: number) {
    const text = await lab.exec("h1", [process.execPath, "-e", SCRAPE, "--", String(port)]);
    return parsePrometheusText(`${text.trimEnd()}\n`);
  }
  async function waitUntilTold(message: string | RegExp): Promise<void> {
    await waitFor(
      () => {
        told.push(...manager.received());
        return told.some((text) => (typeof message === "string" ? text === message : message.test(text)));
      },
      { what: `the service manager is told ${message}` },
    );
  }

  before(async () => {
    lab = await openLab({ sites: [{ nat: "port" }, { nat: "port" }], services: ["stun1"] });
    pair = [lab.host(1), lab.host(2)];
    hookLog = join(lab.directory, "hooks");
    const socket = join(lab.directory, "notify");
    manager = await openServiceManager(socket);
    // As systemd does: what nobody reads fills the socket, and then the last words are lost.
    reading = setInterval(() => told.push(...manager.received()), 50);
    const peers = [pair[0]];
    far = await startDaemon(lab, pair[1], { config: meshConfig(lab, pair[1], { peers, stun: [lab.stun.stun1.ipv4] }) });
    const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: "1000000" };
    daemon = await startDaemon(lab, pair[0], { config: configOf(9586), env });
  });
  after(async () => {
    clearInterval(reading);
    manager.close();
    await lab.close();
  });

  test("the service manager is told that it started, that it lives, and what it does", async () => {
    await waitUntilTold("READY=1");
    await waitUntilTold("WATCHDOG=1");
    await waitUntilTold("STATUS=1 of 1 peer reachable");
    assert.deepEqual(told.slice(0, 2).toSorted(), ["STATUS=0 of 1 peer reachable", "WATCHDOG=1"]);
  });

  test("hooks are run when the endpoint is set and when the tunnel comes up", async () => {
    await waitFor(() => hooked().length >= 2, { what: "two hooks" });
    const endpoint = await lab.endpoint("h1", "h2");
    assert.deepEqual(
      hooked().map((line) => line.replace(/ \d+$/, "")),
      [`endpoint h2 ${endpoint} 0`, `up h2 ${endpoint} 0`],
    );
  });

  test("metrics say that the peer is up", async () => {
    const metrics = await scrape(9586);
    const value = (name: string) => metrics.get(name)?.samples[0]?.value ?? Number.NaN;
    assert.equal(value("stunmesh_peer_up"), 1);
    assert.ok(value("stunmesh_peer_received_bytes_total") > 0);
    assert.ok(value("stunmesh_interface_discoveries_total") >= 1);
    assert.ok(value("stunmesh_store_calls_total") >= 2);
    assert.ok(Math.abs(value("stunmesh_peer_latest_handshake_timestamp_seconds") * 1000 - Date.now()) < 60_000);
    assert.ok(value("process_resident_memory_bytes") > 10_000_000 && value("process_open_fds") > 5);
  });

  test("a reload moves the metrics, disturbs nothing, and is told", async () => {
    const started = await daemon.waitForEvent({ msg: "started" });
    writeFileSync(String(Reflect.get(started, "path")), JSON.stringify(configOf(9587)));
    process.kill(daemon.process.pid, "SIGHUP");
    await waitUntilTold(/^RELOADING=1\nMONOTONIC_USEC=\d+$/);
    await waitUntilTold("READY=1");
    await daemon.waitForEvent({ msg: "configuration reloaded" });
    assert.equal((await scrape(9587)).get("stunmesh_peer_up")?.samples[0]?.value, 1);
    await assert.rejects(scrape(9586));
    assert.equal(hooked().length, 2);
  });

  test("a tunnel that goes down is told, and a hook that hangs does not hold up the end", async (t) => {
    await far.process.stop();
    await lab.exec("h2", ["ip", "link", "set", pair[1].wireguardInterface, "down"]);
    await waitFor(() => hooked().length >= 3, { what: "the hook on_down" });
    await waitUntilTold("STATUS=0 of 1 peer reachable");
    const [event, , , , pid] = hooked()[2]?.split(" ") ?? [];
    assert.equal(event, "down");
    assert.equal((await scrape(9587)).get("stunmesh_peer_downs_total")?.samples[0]?.value, 1);
    const startedMs = performance.now();
    assert.deepEqual(await daemon.process.stop(), { code: 0, signal: null });
    const ms = performance.now() - startedMs;
    t.diagnostic(`ended after ${Math.round(ms)} ms`);
    assert.ok(ms < 10_000, `${ms} ms, of 1000 s that the hook takes`);
    await waitUntilTold("STOPPING=1");
    assert.ok(!existsSync(`/proc/${pid}/exe`), "the hook has ended, too");
  });
});
