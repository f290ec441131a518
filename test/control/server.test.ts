import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { createControlClient } from "../../src/control/client.ts";
import { openControlServer } from "../../src/control/server.ts";
import { errorCode, StunmeshError } from "../../src/errors.ts";
import { createEvents } from "../../src/events.ts";
import { createFakeLog } from "../fakes/log.ts";
import { createStatus } from "./status.ts";

/** A control socket in a directory of its own, and what it was asked to do. */
async function open(t: TestContext, options: { readonly peers?: number; readonly group?: string } = {}) {
  const directory = await mkdtemp(join(tmpdir(), "stunmesh-control-"));
  const path = join(directory, "run", "control.sock");
  const log = createFakeLog();
  const events = createEvents(systemClock);
  const refreshed: string[] = [];
  let reloads = 0;
  let badConfig: unknown;
  const controlled = {
    status: () => createStatus({ peers: options.peers ?? 2 }),
    refresh: (only?: { readonly interface: string; readonly peer: string }) => {
      refreshed.push(only ? `${only.interface}/${only.peer}` : "all");
    },
    async reload() {
      reloads++;
      if (badConfig !== undefined) throw badConfig;
    },
    subscribe: events.subscribe,
  };
  const server = await openControlServer(controlled, { path, group: options.group, log, clock: systemClock });
  const stop = new AbortController();
  t.after(async () => {
    stop.abort();
    await server.close();
    await rm(directory, { recursive: true, force: true });
  });
  const client = createControlClient({ path, clock: systemClock, signal: stop.signal });
  return {
    path,
    directory,
    server,
    controlled,
    client,
    events,
    refreshed,
    stop,
    reloads: () => reloads,
    fail(error: unknown) {
      badConfig = error;
    },
  };
}

/** Sends bytes and resolves with everything that comes back before the connection ends. */
async function sendRaw(path: string, bytes: string | Uint8Array, { end = true } = {}): Promise<string> {
  const socket = connect(path);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  // A connection that is cut while we write is an answer, too.
  socket.on("error", () => undefined);
  if (end) socket.end(bytes);
  else socket.write(bytes);
  await once(socket, "close");
  return Buffer.concat(chunks).toString("latin1");
}

const get = (target: string, method = "GET") => `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;

test("the socket answers status, peers and one peer", async (t) => {
  const { client } = await open(t);
  assert.equal(JSON.parse(await client.ask("GET", "/v1/status")).interfaces[0].name, "wg0");
  const peers = JSON.parse(await client.ask("GET", "/v1/peers"));
  assert.deepEqual(
    peers.map((peer: { interface: string; name: string }) => `${peer.interface}/${peer.name}`),
    ["wg0/peer0", "wg0/peer1"],
  );
  for (const name of ["peer1", "wg0/peer1", "wg0%2Fpeer1"]) {
    assert.equal(JSON.parse(await client.ask("GET", `/v1/peers/${name}`)).name, "peer1");
  }
  assert.match(await client.ask("GET", "/v1/metrics"), /^stunmesh_info\{version="[^"]+"\} 1$/m);
});

test("refresh is for all, for named peers, for an interface, and for no name that there is not", async (t) => {
  const { client, refreshed } = await open(t);
  await client.ask("POST", "/v1/refresh");
  await client.ask("POST", "/v1/refresh?peer=peer1");
  await client.ask("POST", "/v1/refresh?peer=wg0");
  assert.deepEqual(refreshed, ["wg0/peer0", "wg0/peer1", "wg0/peer1", "wg0/peer0", "wg0/peer1"]);
  await assert.rejects(client.ask("POST", "/v1/refresh?peer=nobody"), (error) => {
    return errorCode(error) === "USAGE" && /"nobody", there are wg0\/peer0, wg0\/peer1/.test(String(error));
  });
  assert.equal(refreshed.length, 5);
});

test("reload answers with what is wrong with the configuration", async (t) => {
  const { client, reloads, fail } = await open(t);
  await client.ask("POST", "/v1/reload");
  fail(new StunmeshError("CONFIG_INVALID", "Cannot use the configuration: /etc/x.yaml:1:19: refresh_interval"));
  await assert.rejects(client.ask("POST", "/v1/reload"), (error) => {
    return errorCode(error) === "CONFIG_INVALID" && /x\.yaml:1:19/.test(String(error));
  });
  fail(new StunmeshError("CONFIG_INVALID", "Cannot use the configuration: 2 errors\nx.yaml:1:1: a\nx.yaml:2:1: b"));
  // A line for each is for the person who asked; the log has one line.
  await assert.rejects(client.ask("POST", "/v1/reload"), { message: /2 errors\nx\.yaml:1:1: a\nx\.yaml:2:1: b$/ });
  assert.equal(reloads(), 3);
});

const refusals: readonly (readonly [request: string, status: number, code: string])[] = [
  [get("/"), 404, "NOT_FOUND"],
  [get("/v1/nothing"), 404, "NOT_FOUND"],
  [get("/v1/peers/nobody"), 404, "NOT_FOUND"],
  [get("/v1/peers/wg0"), 404, "NOT_FOUND"],
  [get("/v1/status", "POST"), 405, "METHOD_NOT_ALLOWED"],
  [get("/v1/refresh"), 405, "METHOD_NOT_ALLOWED"],
  [get("/v1/status", "DELETE"), 405, "METHOD_NOT_ALLOWED"],
  [get("/v1/peers/%ff"), 400, "BAD_REQUEST"],
  [get("http://x/v1/status"), 400, "BAD_REQUEST"],
  [`POST /v1/refresh HTTP/1.1\r\nHost: x\r\nContent-Length: 4096\r\n\r\n${"x".repeat(4096)}`, 413, "TOO_LARGE"],
  ["GET /v1/status HTTP/1.1\r\n\r\n", 400, ""],
  ["nonsense\r\n\r\n", 400, "BAD_REQUEST"],
  [`GET /v1/status HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(20_000)}\r\n\r\n`, 400, "BAD_REQUEST"],
];

test("what cannot be done is refused as JSON that says why", async (t) => {
  const { path, refreshed } = await open(t);
  for (const [request, status, code] of refusals) {
    const reply = await sendRaw(path, request);
    assert.match(reply, new RegExp(`^HTTP/1.1 ${status} `), request.slice(0, 60));
    if (code !== "")
      assert.match(reply, new RegExp(`"error":\\{"code":"${code}","message":"[^"]`), request.slice(0, 60));
  }
  assert.deepEqual(refreshed, []);
});

test("random and broken bytes do the daemon no harm", async (t) => {
  const { path, client } = await open(t);
  const good = get("/v1/status");
  const inputs = Array.from({ length: 150 }, (_, round) => {
    if (round % 3 === 0) return randomBytes(1 + ((round * 37) % 3_000));
    const bytes = Buffer.from(good);
    for (let count = 0; count <= round % 5; count++)
      bytes[(round * 7 + count * 13) % bytes.length] = (round * 31 + count) % 256;
    return round % 3 === 1 ? bytes : bytes.subarray(0, round % bytes.length);
  });
  for (let start = 0; start < inputs.length; start += 15) {
    await Promise.all(inputs.slice(start, start + 15).map((bytes) => sendRaw(path, bytes)));
  }
  assert.equal(JSON.parse(await client.ask("GET", "/v1/status")).pid, 4711);
});

test("events come as lines, and a reader that goes is forgotten", async (t) => {
  const { client, events, stop } = await open(t);
  const lines: string[] = [];
  let onLine: () => void = () => undefined;
  const following = client.follow((line) => {
    lines.push(line);
    onLine();
  });
  const until = async (count: number) => {
    while (lines.length < count) await new Promise<void>((resolve) => (onLine = resolve));
  };
  await until(1);
  const log = events.tee(createFakeLog()).child({ interface: "wg0" });
  log.info({ peer: "site2", endpoint: "203.0.113.7:7" }, "endpoint set");
  log.debug({}, "not told");
  events.changed({ interface: "wg0", peer: "site2", state: "reachable", previous: "unreachable" });
  await until(3);
  const [hello, set, state] = lines.map((line) => JSON.parse(line));
  assert.equal(hello.type, "hello");
  const { time, ...said } = set;
  assert.ok(Date.parse(time) > 0);
  assert.deepEqual(said, {
    type: "log",
    level: "info",
    message: "endpoint set",
    interface: "wg0",
    peer: "site2",
    endpoint: "203.0.113.7:7",
  });
  assert.deepEqual([state.type, state.state, state.previous], ["state", "reachable", "unreachable"]);
  stop.abort();
  await assert.rejects(following, { name: "AbortError" });
});

test("a reader of events that does not read is cut off, and there are few readers", async (t) => {
  const { path, events } = await open(t);
  const readers: Socket[] = [];
  for (let count = 0; count < 8; count++) {
    const socket = connect(path);
    socket.on("error", () => undefined);
    socket.write("GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(socket, "data");
    socket.pause();
    readers.push(socket);
  }
  assert.match(await sendRaw(path, get("/v1/events"), { end: false }), /^HTTP\/1.1 503 .*TOO_MANY/s);
  const log = events.tee(createFakeLog());
  const ended = Promise.all(
    readers.map(async (socket) => {
      const closed = once(socket, "close");
      for (let count = 0; count < 100 && !socket.closed; count++) log.info({ reason: "x".repeat(20_000) }, "something");
      socket.resume();
      await closed;
    }),
  );
  await ended;
  assert.ok(readers.every(({ destroyed }) => destroyed));
});

test("the file has mode 660 and the group that was named, whatever the umask, and is gone at the end", async (t) => {
  const before = process.umask(0o000);
  t.after(() => process.umask(before));
  const { path, server } = await open(t, { group: String(process.getgid?.()) });
  const { mode, gid } = statSync(path);
  assert.deepEqual([mode & 0o777, gid], [0o660, process.getgid?.()]);
  assert.deepEqual(readdirSync(join(path, "..")), ["control.sock"]);
  await server.close();
  assert.equal(existsSync(path), false);
});

test("what a dead daemon left is replaced; a daemon that answers, and what is no socket, are not", async (t) => {
  const { path, directory, controlled } = await open(t);
  const log = createFakeLog();
  const bind = (at: string) => openControlServer(controlled, { path: at, group: undefined, log, clock: systemClock });
  await assert.rejects(bind(path), /another daemon answers there/);
  const file = join(directory, "file");
  writeFileSync(file, "something");
  await assert.rejects(bind(file), /something else of that name/);
  const stale = join(directory, "stale.sock");
  const dead = createServer().listen(join(directory, "dead.sock"));
  await once(dead, "listening");
  // The file of a socket stays when it was moved before its owner ended.
  const { renameSync } = await import("node:fs");
  renameSync(join(directory, "dead.sock"), stale);
  dead.close();
  await once(dead, "close");
  assert.ok(existsSync(stale));
  const server = await bind(stale);
  const client = createControlClient({ path: stale, clock: systemClock, signal: new AbortController().signal });
  assert.equal(JSON.parse(await client.ask("GET", "/v1/status")).pid, 4711);
  await server.close();
});

test("a directory that everybody may write to, a long path and a group that is not there are refused", async (t) => {
  const { directory, controlled } = await open(t);
  const bind = (path: string, group?: string) =>
    openControlServer(controlled, { path, group, log: createFakeLog(), clock: systemClock });
  const loose = join(directory, "loose");
  mkdirSync(loose);
  chmodSync(loose, 0o777);
  await assert.rejects(bind(join(loose, "control.sock")), /others may write/);
  await assert.rejects(bind(join(directory, "x".repeat(100))), /too long/);
  await assert.rejects(bind(join(directory, "a.sock"), "no-such-group"), /there is no group "no-such-group"/);
  assert.deepEqual(readdirSync(directory).toSorted(), ["loose", "run"]);
});

test("a client says when no daemon answers", async (t) => {
  const { path, server } = await open(t);
  const client = createControlClient({ path, clock: systemClock, signal: new AbortController().signal });
  await server.close();
  await assert.rejects(client.ask("GET", "/v1/status"), (error) => {
    return (
      errorCode(error) === "CONTROL_UNAVAILABLE" && String(error).includes(path) && /Start it with/.test(String(error))
    );
  });
});
