/**
 * The units of packaging/systemd in a real systemd, booted by systemd/boot.sh in namespaces of its own: start with
 * notification, the sandbox, reload, watchdog, stop, what is not tried again, the template, a user of its own, the timer.
 * Needs root, wireguard-go and coturn.
 */
import assert from "node:assert/strict";
import { cp, mkdir, symlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { program } from "./daemon.ts";
import { copyFolder, runInSystemd, type Seen } from "./systemd/boot.ts";

/** CAP_NET_ADMIN (12) and CAP_NET_RAW (13). */
const TWO_CAPABILITIES = "0000000000003000";

let seen: Seen;

before(async () => {
  seen = await runInSystemd("checks.sh", async (copy) => {
    await copyFolder("packaging/systemd", { to: join(copy, "etc/systemd/system"), except: ".conf" });
    await copyFolder("packaging/systemd", { to: join(copy, "srv/shipped") });
    await layProgram(copy);
  });
});

/** A copy, as npm installs it: the repository may be in a folder that is another one inside, or none that the units may see. */
async function layProgram(copy: string): Promise<void> {
  const lib = join(copy, "usr/local/lib/stunmesh-ts");
  await mkdir(lib, { recursive: true });
  await writeFile(join(lib, "package.json"), '{ "type": "module" }');
  for (const name of ["stunmesh-ts.js", "program.cjs"]) await cp(join(dirname(program), name), join(lib, name));
  for (const name of ["koffi", "@koromix"])
    await copyFolder(`node_modules/${name}`, { to: join(lib, "node_modules", name) });
  await symlink("../lib/stunmesh-ts/stunmesh-ts.js", join(copy, "usr/local/bin/stunmesh-ts"));
}

function assertSeen(wanted: Readonly<Record<string, string>>): void {
  const found = Object.fromEntries(Object.keys(wanted).map((key) => [key, seen.values.get(key)]));
  assert.deepEqual(found, wanted, seen.text);
}

test("systemd finds nothing wrong with the units, and calls their exposure 2.5 of 10 at most", () => {
  assertSeen({ "analyze.verify": "", "analyze.exposed": "" });
});

test("the service starts, tells that it is ready and how its peers are, and publishes through a script", () => {
  assertSeen({
    "start.status": "0",
    "start.state": "active",
    "start.text": "0 of 1 peer reachable",
    "start.published": "1",
    "start.stored": "1",
    "start.warnings": "",
    "start.memory": "wg0.json wg0.lock",
    "start.socket": "srw-rw----",
  });
});

test("the service has two capabilities, cannot get more, and only usual system calls", () => {
  assertSeen({
    "start.capabilities": TWO_CAPABILITIES,
    "start.bounding": TWO_CAPABILITIES,
    "start.nonewprivs": "1",
    "start.seccomp": "2",
  });
});

test("systemctl reload has a new configuration used, and a wrong one refused", () => {
  assertSeen({
    "reload.status": "0",
    "reload.done": "1",
    "reload.used": "1",
    "reload.refused": "1",
    "reload.state": "active",
    "reload.samepid": "yes",
  });
});

test("the watchdog replaces a daemon that hangs", () => {
  assertSeen({ "watchdog.restarts": "1", "watchdog.said": "1", "watchdog.state": "active" });
});

test("systemctl stop ends the daemon without a SIGKILL and leaves no socket", () => {
  assertSeen({ "stop.result": "success", "stop.said": "1", "stop.socket": "" });
});

test("a wrong configuration is not tried again and again", () => {
  assertSeen({ "wrong.status": "1", "wrong.state": "failed", "wrong.code": "78" });
});

test("the template has a control socket for each instance and locks for all", () => {
  assertSeen({
    "template.status": "0",
    "template.socket": "/run/stunmesh-ts-home/control.sock",
    "template.lock": "/var/lib/stunmesh-ts/wg2.lock",
  });
});

test("with dynamic-user.conf it is not root, and says that it may not use WireGuard in user space", () => {
  const uid = seen.values.get("user.uid") ?? "";
  assert.ok(Number(uid) > 60_000, seen.text);
  assertSeen({
    "user.status": "0",
    "user.capabilities": TWO_CAPABILITIES,
    "user.waits": "1",
    "user.unusable": "0",
    "user.socket": uid,
    "user.userspace": "77",
  });
});

test("the timer's service publishes, and to be interrupted is no failure of it", () => {
  assertSeen({ "oneshot.published": "1", "oneshot.result": "success", "timer.state": "active", end: "reached" });
});
