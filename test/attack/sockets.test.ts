/** Who may reach the control socket or the port of the metrics, and more of him than there should be. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmod, chown, mkdir, readdir, rename, symlink, writeFile } from "node:fs/promises";
import { connect, createServer, type NetConnectOpts } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { createMetricsListener } from "../../src/control/metrics-listener.ts";
import { openControlServer } from "../../src/control/server.ts";
import { bindControlSocket } from "../../src/control/socket.ts";
import { createEvents } from "../../src/events.ts";
import { createStatus } from "../control/status.ts";
import { createFakeLog } from "../fakes/log.ts";
import { temporaryDirectory } from "../plugins/fixtures.ts";

async function openControl(t: TestContext) {
  const path = join(await temporaryDirectory(t), "s");
  const seen = { statuses: 0 };
  const controlled = {
    status() {
      seen.statuses++;
      return createStatus({ peers: 100 });
    },
    refresh: () => undefined,
    reload: async () => undefined,
    subscribe: createEvents(systemClock).subscribe,
  };
  const log = createFakeLog();
  const server = await openControlServer(controlled, { path, group: undefined, log, clock: systemClock });
  t.after(() => server.close());
  return { path, seen };
}

/** Sends `text` and resolves with what comes back until the connection ends. */
async function talk(where: NetConnectOpts, text: string): Promise<string> {
  const socket = connect(where);
  const chunks: Buffer[] = [];
  socket.on("data", (chunk) => chunks.push(chunk));
  // Being cut off while writing is an answer.
  socket.on("error", () => undefined);
  socket.write(text);
  await once(socket, "close");
  return Buffer.concat(chunks).toString("latin1");
}

const ask = (path: string, rest = "") => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${rest}\r\n`;

test("a thousand pipelined requests over the control socket are not answered a thousand times", async (t) => {
  const { path, seen } = await openControl(t);
  await talk({ path }, ask("/v1/status").repeat(1_400));
  assert.ok(seen.statuses <= 2, String(seen.statuses));
});

test("one request after the other over one connection is answered, also when the next one comes early", async (t) => {
  const { path, seen } = await openControl(t);
  const reply = await talk({ path }, ask("/v1/status") + ask("/v1/peers", "Connection: close\r\n"));
  assert.equal(reply.match(/^HTTP\/1\.1 200 OK\r$/gm)?.length, 2);
  assert.equal(seen.statuses, 2);
});

test("many requests to the control socket at once cause no warning of a leak", async (t) => {
  const { path } = await openControl(t);
  const warnings: Error[] = [];
  const onWarning = (warning: Error) => warnings.push(warning);
  process.on("warning", onWarning);
  t.after(() => process.off("warning", onWarning));
  await Promise.all(Array.from({ length: 30 }, () => talk({ path }, ask("/v1/status", "Connection: close\r\n"))));
  assert.deepEqual(warnings, []);
});

async function openMetrics(t: TestContext) {
  const seen = { texts: 0 };
  const listener = createMetricsListener({
    clock: systemClock,
    log: createFakeLog(),
    async text() {
      seen.texts++;
      return "stunmesh_up 1\n";
    },
  });
  t.after(() => listener.close());
  await listener.use({ host: "127.0.0.1", port: 0 });
  const port = Number(listener.address()?.split(":").at(-1));
  return { seen, port, where: { host: "127.0.0.1", port } };
}

test("one connection gets the metrics once, however often it asks", async (t) => {
  const { seen, where } = await openMetrics(t);
  await talk(where, ask("/metrics").repeat(1_400));
  assert.ok(seen.texts <= 1, String(seen.texts));
  const reply = await talk(where, ask("/metrics"));
  assert.match(reply, /^HTTP\/1\.1 200 /);
});

test("a web page that gives its name this host's address does not get the metrics", async (t) => {
  const { seen, where, port } = await openMetrics(t);
  for (const host of ["evil.example", `evil.example:${port}`, "127.0.0.1.evil.example", "localhost.evil.example"]) {
    const reply = await talk(where, `GET /metrics HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    assert.match(reply, /^HTTP\/1\.1 421 /, host);
  }
  assert.equal(seen.texts, 0);
  for (const host of [`127.0.0.1:${port}`, "localhost", "[::1]:9586", "router", "router.lan:9586"]) {
    const reply = await talk(where, `GET /metrics HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    assert.match(reply, /^HTTP\/1\.1 200 /, host);
  }
});

for (const left of ["nothing", "a dead socket"]) {
  test(`of daemons that start together with one control socket, and ${left} in its place, one gets it`, async (t) => {
    for (let round = 0; round < 10; round++) {
      const directory = await temporaryDirectory(t);
      const path = join(directory, "s");
      if (left !== "nothing") {
        const dead = createServer().listen(join(directory, "d"));
        await once(dead, "listening");
        // Node would remove its own file.
        await rename(join(directory, "d"), path);
        await new Promise((resolve) => dead.close(resolve));
      }
      const servers = Array.from({ length: 4 }, () => createServer((socket) => socket.end()));
      const bound = await Promise.allSettled(
        servers.map((server) => bindControlSocket(server, { path, group: undefined })),
      );
      const codes = bound.flatMap((one) => (one.status === "rejected" ? [one.reason.code] : []));
      assert.deepEqual(codes, Array(3).fill("CONTROL_UNAVAILABLE"));
      assert.deepEqual(await readdir(directory), ["s"]);
      for (const one of bound) if (one.status === "fulfilled") await one.value.remove();
      for (const server of servers) server.close();
      assert.deepEqual(await readdir(directory), []);
    }
  });
}

test("the control socket is not made where others could put another file in its place", async (t) => {
  const base = await temporaryDirectory(t);
  const bind = (directory: string) =>
    bindControlSocket(createServer(), { path: join(directory, "s"), group: undefined });
  const open = join(base, "open");
  await mkdir(open);
  for (const mode of [0o775, 0o777]) {
    await chmod(open, mode);
    await assert.rejects(bind(open), /others may write to its directory: chmod 755 it$/);
  }
  assert.deepEqual(await readdir(open), []);
  // Who is not root cannot give files away.
  if (process.getuid?.() === 0) {
    const foreign = join(base, "foreign");
    await mkdir(foreign);
    await chown(foreign, 65_534, 65_534);
    await assert.rejects(bind(foreign), /its directory belongs to another user: chown it$/);
  }
  await chmod(open, 0o755);
  const target = join(base, "target");
  await writeFile(target, "kept", { mode: 0o600 });
  await symlink(target, join(open, "s"));
  await assert.rejects(bind(open), /there is something else of that name$/);
});
