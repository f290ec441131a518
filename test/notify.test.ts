import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type NotifyTarget, openNotifier, takeNotifyTarget } from "../src/notify.ts";
import { openUnixDatagram } from "../src/platform/native/unix-datagram.ts";
import { createFakeClock } from "./fakes/clock.ts";
import { createFakeLog } from "./fakes/log.ts";
import { openServiceManager } from "./fakes/service-manager.ts";
import { temporaryDirectory } from "./plugins/fixtures.ts";

async function start(t: TestContext, target: Partial<NotifyTarget> = {}) {
  const socket = `@stunmesh-test-${randomUUID()}`;
  const manager = await openServiceManager(socket);
  const clock = createFakeClock();
  const log = createFakeLog();
  const hanging: string[] = [];
  const notifier = await openNotifier({ socket, ...target }, { clock, log, hanging: () => hanging });
  t.after(async () => {
    await notifier.close();
    manager.close();
  });
  return { notifier, manager, clock, log, hanging, socket };
}

test("takeNotifyTarget() takes the service manager's variables out of the environment", () => {
  const environment = { NOTIFY_SOCKET: "@x", WATCHDOG_USEC: "30000000", WATCHDOG_PID: "42", PATH: "/bin" };
  assert.deepEqual(takeNotifyTarget(environment, 42), { socket: "@x", watchdogMs: 30_000 });
  assert.deepEqual(environment, { PATH: "/bin" });
});

test("takeNotifyTarget() takes the watchdog for ours only when it is", () => {
  const environment = { NOTIFY_SOCKET: "/run/x", WATCHDOG_USEC: "30000000" };
  assert.deepEqual(takeNotifyTarget({ ...environment }, 42), { socket: "/run/x", watchdogMs: 30_000 });
  assert.deepEqual(takeNotifyTarget({ ...environment, WATCHDOG_PID: "1" }, 42), { socket: "/run/x" });
  for (const odd of ["", "x", "0", "-1"]) {
    assert.deepEqual(takeNotifyTarget({ ...environment, WATCHDOG_USEC: odd }, 42), { socket: "/run/x" });
  }
  assert.equal(takeNotifyTarget({ NOTIFY_SOCKET: "" }, 42), undefined);
  assert.equal(takeNotifyTarget({ WATCHDOG_USEC: "30000000" }, 42), undefined);
});

test("a notifier says what sd_notify(3) has words for, in order", async (t) => {
  const { notifier, manager } = await start(t);
  notifier.status("0 of 4 peers reachable");
  notifier.ready();
  notifier.status("0 of 4 peers reachable");
  notifier.status("3 of 4\npeers reachable");
  const before = process.hrtime.bigint() / 1000n;
  notifier.reloading();
  const after = process.hrtime.bigint() / 1000n;
  notifier.ready();
  notifier.stopping();
  await notifier.close();
  const messages = manager.received();
  const [, usec = ""] = /^RELOADING=1\nMONOTONIC_USEC=(\d+)$/.exec(messages[3] ?? "") ?? [];
  assert.ok(BigInt(usec) >= before && BigInt(usec) <= after, usec);
  assert.deepEqual(messages.toSpliced(3, 1), [
    "STATUS=0 of 4 peers reachable",
    "READY=1",
    "STATUS=3 of 4 peers reachable",
    "READY=1",
    "STOPPING=1",
  ]);
});

test("a path works as well as an abstract name", async (t) => {
  const socket = join(await temporaryDirectory(t), "notify");
  const manager = await openServiceManager(socket);
  const notifier = await openNotifier(
    { socket },
    { clock: createFakeClock(), log: createFakeLog(), hanging: () => [] },
  );
  notifier.ready();
  await notifier.close();
  assert.deepEqual(manager.received(), ["READY=1"]);
  manager.close();
});

test("the watchdog is told at half of its time, until the end", async (t) => {
  const { notifier, manager, clock } = await start(t, { watchdogMs: 30_000 });
  await clock.advance(0);
  assert.deepEqual(manager.received(), ["WATCHDOG=1"]);
  await clock.advance(14_999);
  assert.deepEqual(manager.received(), []);
  await clock.advance(15_001);
  assert.deepEqual(manager.received(), ["WATCHDOG=1", "WATCHDOG=1"]);
  await notifier.close();
  await clock.advance(60_000);
  assert.equal(clock.sleeping, 0);
});

test("the watchdog is told nothing while a loop hangs, which is said once, and again when it goes on", async (t) => {
  const { manager, clock, hanging, log } = await start(t, { watchdogMs: 30_000 });
  await clock.advance(0);
  manager.received();
  hanging.push("wg1");
  await clock.advance(60_000);
  assert.deepEqual(manager.received(), []);
  assert.deepEqual(
    log.lines.map(({ level, names }) => [level, names]),
    [["error", ["wg1"]]],
  );
  hanging.pop();
  await clock.advance(1_000);
  assert.deepEqual(manager.received(), ["WATCHDOG=1"]);
});

test("what was sent to a full queue is sent again", async (t) => {
  const { notifier, manager, clock, socket, log } = await start(t);
  const flood = await openUnixDatagram(socket);
  assert.throws(() => {
    for (;;) flood.send("x");
  });
  flood.close();
  notifier.ready();
  await clock.advance(100);
  assert.ok(!manager.received().includes("READY=1"));
  await clock.advance(50);
  assert.deepEqual(manager.received(), ["READY=1"]);
  assert.deepEqual(log.lines, []);
});

test("a service manager that cannot be told is a debug line, and nothing else", async () => {
  for (const socket of ["/nonexistent/notify", "vsock:2:1234", `@${"x".repeat(200)}`]) {
    const log = createFakeLog();
    const clock = createFakeClock();
    const notifier = await openNotifier({ socket }, { clock, log, hanging: () => [] });
    notifier.ready();
    await notifier.close();
    assert.deepEqual(
      [...new Set(log.lines.map(({ level, msg }) => `${level}: ${msg}`))],
      ["debug: service manager not told"],
    );
  }
});

test("without a service manager a notifier does nothing", async () => {
  const clock = createFakeClock();
  const log = createFakeLog();
  const notifier = await openNotifier(undefined, { clock, log, hanging: () => assert.fail("not asked") });
  notifier.ready();
  notifier.status("x");
  await notifier.close();
  assert.deepEqual([log.lines, clock.sleeping], [[], 0]);
});
