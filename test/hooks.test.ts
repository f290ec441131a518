import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "../src/clock.ts";
import type { HookConfig, HookEvent } from "../src/config/types.ts";
import { createHooks, type HookChange } from "../src/hooks.ts";
import { createPeerConfig } from "./fakes/device.ts";
import { createFakeLog } from "./fakes/log.ts";
import { temporaryDirectory } from "./plugins/fixtures.ts";
import { findStrays, markChildren, waitForNoStrays } from "./plugins/processes.ts";

const mark = markChildren();

interface StartOptions {
  /** What a hook does; `$log` is a file, `$go` one that is made by release(). */
  readonly script?: string;
  readonly events?: readonly HookEvent[];
  readonly timeoutMs?: number;
  readonly peers?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
}

async function start(t: TestContext, options: StartOptions = {}) {
  const { events = ["up", "down", "endpoint"], timeoutMs = 60_000, peers = ["site2"] } = options;
  const { script = 'echo "$STUNMESH_EVENT $STUNMESH_PEER $STUNMESH_PREVIOUS_ENDPOINT>$STUNMESH_ENDPOINT" >>"$log"' } =
    options;
  const directory = await temporaryDirectory(t);
  const file = join(directory, "log");
  const go = join(directory, "go");
  const log = createFakeLog();
  // The mark lets the test find what is left behind; TMPDIR is one of the names that are passed on.
  const environment = { PATH: process.env.PATH ?? "", TMPDIR: `STUNMESH_TEST_MARK=${mark}`, ...options.environment };
  const hooks = createHooks({ clock: systemClock, log, environment });
  t.after(() => hooks.close());
  const hook: HookConfig = {
    command: "sh",
    args: ["-c", `log=${file} go=${go}; ${script}`],
    timeoutMs,
  };
  hooks.use(
    peers.map((peer) => ({ interface: "wg0", peer, hooks: Object.fromEntries(events.map((event) => [event, hook])) })),
  );
  const configs = new Map(peers.map((name) => [name, createPeerConfig({ name })]));
  return {
    hooks,
    log,
    lines: () => (existsSync(file) ? readFileSync(file, "utf8").trim().split("\n") : []),
    release: () => writeFile(go, ""),
    tell(event: HookEvent, more: Partial<HookChange> & { readonly name?: string } = {}) {
      const { name = "site2", ...change } = more;
      hooks.tell({ interface: "wg0", peer: configs.get(name)!, event, reason: "because", ...change });
    },
  };
}

const waiting = 'while [ ! -e "$go" ]; do sleep 0.01; done';

test("a hook gets the event in its environment, and nothing of the daemon's but what programs need", async (t) => {
  const environment = {
    HOME: "/root",
    LC_ALL: "C",
    STORE_TOKEN: "secret",
    NOTIFY_SOCKET: "/run/x",
    CREDENTIALS_DIRECTORY: "/c",
  };
  const { tell, lines } = await start(t, { script: 'env | sort >"$log.new"; mv "$log.new" "$log"', environment });
  tell("endpoint", { endpoint: "203.0.113.7:7", previous: "[2001:db8::1]:8", reason: "two words\nand a line" });
  await until(() => lines().length > 0);
  const variables = new Map(lines().map((line) => [line.split("=")[0], line.slice(line.indexOf("=") + 1)]));
  for (const shell of ["PWD", "SHLVL", "OLDPWD", "_", "and a line"]) variables.delete(shell);
  const key = variables.get("STUNMESH_PEER_PUBLIC_KEY") ?? "";
  assert.equal(Buffer.from(key, "base64").length, 32);
  assert.deepEqual(Object.fromEntries([...variables].sort()), {
    HOME: "/root",
    LC_ALL: "C",
    PATH: process.env.PATH,
    STUNMESH_ENDPOINT: "203.0.113.7:7",
    STUNMESH_EVENT: "endpoint",
    STUNMESH_INTERFACE: "wg0",
    STUNMESH_PEER: "site2",
    STUNMESH_PEER_PUBLIC_KEY: key,
    STUNMESH_PREVIOUS_ENDPOINT: "[2001:db8::1]:8",
    STUNMESH_REASON: "two words",
    TMPDIR: `STUNMESH_TEST_MARK=${mark}`,
  });
});

test("up, down, up while a hook runs ends with up; down, up, down with down", async (t) => {
  const { tell, lines, release } = await start(t, { script: `echo "$STUNMESH_EVENT" >>"$log"; ${waiting}` });
  tell("up");
  await until(() => lines().length === 1);
  for (const event of ["down", "up", "down"] as const) tell(event);
  await release();
  await until(() => lines().length === 2);
  assert.deepEqual(lines(), ["up", "down"]);
  for (const event of ["up", "down", "up"] as const) tell(event);
  await until(() => lines().at(-1) === "up");
  assert.deepEqual(lines(), ["up", "down", "up"]);
});

test("a change that was undone while a hook ran is not told", async (t) => {
  const { tell, lines, release } = await start(t, { script: `echo "$STUNMESH_EVENT" >>"$log"; ${waiting}` });
  tell("up");
  await until(() => lines().length === 1);
  tell("down");
  tell("up");
  tell("endpoint", { endpoint: "203.0.113.8:8", previous: "203.0.113.7:7" });
  tell("endpoint", { endpoint: "203.0.113.7:7", previous: "203.0.113.8:8" });
  await release();
  tell("endpoint", { endpoint: "203.0.113.9:9", previous: "203.0.113.7:7" });
  await until(() => lines().length === 2);
  assert.deepEqual(lines(), ["up", "endpoint"]);
});

test("moves while a hook runs are told as one, from the first to the last", async (t) => {
  const script = `echo "$STUNMESH_PREVIOUS_ENDPOINT>$STUNMESH_ENDPOINT" >>"$log"; ${waiting}`;
  const { tell, lines, release } = await start(t, { script });
  tell("endpoint", { endpoint: "a" });
  await until(() => lines().length === 1);
  tell("endpoint", { previous: "a", endpoint: "b" });
  tell("endpoint", { previous: "b", endpoint: "c" });
  await release();
  await until(() => lines().length === 2);
  assert.deepEqual(lines(), [">a", "a>c"]);
});

test("down without an up before, and up twice, is not told: an interface that is started anew says it again", async (t) => {
  const { tell, lines } = await start(t, { script: 'echo "$STUNMESH_EVENT" >>"$log"' });
  tell("down");
  tell("up");
  await until(() => lines().length === 1);
  tell("up");
  tell("down");
  await until(() => lines().length === 2);
  assert.deepEqual(lines(), ["up", "down"]);
});

test("at most four hooks run at the same time, one for a peer, and all have their turn", async (t) => {
  const peers = Array.from({ length: 10 }, (_, index) => `p${index}`);
  const { tell, lines, release } = await start(t, { peers, script: `echo "$STUNMESH_PEER" >>"$log"; ${waiting}` });
  for (const name of peers) tell("up", { name });
  await until(() => lines().length === 4);
  assert.deepEqual(lines().toSorted(), ["p0", "p1", "p2", "p3"]);
  // A shell that is just starting a program looks like two; a fifth hook would stay.
  await until(() => findStrays(mark).filter((line) => line.includes("sh\0-c")).length === 4);
  await release();
  await until(() => lines().length === 10);
  assert.deepEqual(lines().toSorted(), peers);
});

test("use() changes hooks, and a peer without one is still known to be up", async (t) => {
  const { hooks, tell, lines } = await start(t, { events: ["down"] });
  tell("up");
  tell("down");
  await until(() => lines().length === 1);
  hooks.use([]);
  tell("up");
  tell("down");
  assert.deepEqual(lines(), ["down site2 >"]);
});

test("a hook that fails is a warning once, with how it ended and the end of its standard error", async (t) => {
  const script = 'head -c 100000 /dev/zero; echo noise >&2; if [ ! -e "$go" ]; then echo "no route" >&2; exit 3; fi';
  const { tell, log, release } = await start(t, { script });
  const endings = () => log.lines.filter(({ msg }) => msg.startsWith("hook")).length;
  tell("endpoint", { endpoint: "a" });
  await until(() => endings() === 1);
  tell("endpoint", { endpoint: "b" });
  await until(() => endings() === 2);
  const [line] = log.find("hook failed", "warn");
  assert.equal(log.find("hook failed", "warn").length, 1);
  assert.deepEqual(
    [line?.interface, line?.peer, line?.hook, line?.code, line?.err],
    ["wg0", "site2", "on_endpoint", "HOOK_FAILED", "Cannot run the hook on_endpoint: exit status 3: noise no route"],
  );
  await release();
  tell("endpoint", { endpoint: "c" });
  await until(() => log.find("hook works again", "info").length === 1);
});

test("a hook that cannot be started is a warning that says why", async (t) => {
  const { hooks, tell, log } = await start(t);
  const hook = { command: "/nonexistent/hook", args: [], timeoutMs: 1_000 };
  hooks.use([{ interface: "wg0", peer: "site2", hooks: { up: hook } }]);
  tell("up");
  await until(() => log.find("hook failed", "warn").length === 1);
  const [line] = log.find("hook failed");
  assert.equal(line?.code, "HOOK_FAILED");
  assert.match(line?.err ?? "", /^Cannot run the hook on_up: no file "\/nonexistent\/hook"/);
});

test("a hook that takes too long is ended with all its processes", async (t) => {
  const { tell, log } = await start(t, { script: "trap '' TERM; sleep 1000 & sleep 1000 & wait", timeoutMs: 100 });
  tell("up");
  await until(() => log.find("hook failed", "warn").length === 1);
  assert.equal(log.find("hook failed")[0]?.code, "TIMEOUT");
  assert.deepEqual(await waitForNoStrays(mark), []);
});

test("close() ends what runs at once, with all its processes, and starts nothing more", async (t) => {
  const { hooks, tell, lines, log } = await start(t, { script: 'echo x >>"$log"; sleep 1000 & sleep 1000; wait' });
  tell("up");
  await until(() => lines().length === 1);
  tell("down");
  hooks.close();
  assert.deepEqual(await waitForNoStrays(mark), []);
  tell("up");
  await delay(20);
  assert.deepEqual([lines().length, log.find("hook failed")], [1, []]);
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(5);
}
