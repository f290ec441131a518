/**
 * Names that hang: no DNS server answers. What needs no DNS, an address, a name in /etc/hosts, is not held up by them, and
 * neither is the end of the program.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { meshConfig, startDaemon } from "./daemon.ts";
import { type Lab, openLab } from "./lab.ts";

/** Keeps what is put into it; says when it listens. */
const STORE = `const kept = new Map();
require("node:http").createServer((request, reply) => {
  let body = "";
  request.on("data", (chunk) => (body += chunk)).on("end", () => {
    if (request.method === "PUT") kept.set(request.url, body);
    reply.statusCode = request.method === "PUT" ? 204 : kept.has(request.url) ? 200 : 404;
    reply.end(request.method === "PUT" ? "" : kept.get(request.url));
  });
}).listen(8080, "198.51.100.40", () => console.log("listening"));`;

/** Mounts its own resolv.conf and hosts, and runs the rest. */
const OWN_NAMES = 'mount --bind "$1" /etc/resolv.conf && mount --bind "$2" /etc/hosts && shift 2 && exec "$@"';

describe("a daemon whose DNS does not answer", () => {
  let lab: Lab;
  before(async () => {
    lab = await openLab({ sites: [{}, {}], services: ["stun1", "probe"] });
    const store = await lab.spawn("srv", [process.execPath, "-e", STORE]);
    await store.waitForLine((line) => line === "listening");
  });
  after(() => lab.close());

  test("publishes by the address and the name that need none, and ends when it is told", async (t) => {
    const [host, peer] = [lab.host(1), lab.host(2)];
    const resolvConf = join(lab.directory, "resolv.conf");
    const hosts = join(lab.directory, "hosts");
    writeFileSync(resolvConf, "nameserver 198.51.100.99\n");
    writeFileSync(hosts, "127.0.0.1 localhost\n198.51.100.40 store.example\n");
    const hanging = Array.from({ length: 12 }, (_, index) => `stun${index}.example:3478`);
    const daemon = await startDaemon(lab, host, {
      config: meshConfig(lab, host, {
        peers: [peer],
        stun: [...hanging, lab.stun.stun1.ipv4],
        pluginOf: () => "web",
        plugins: { web: { type: "http", url: "http://store.example:8080" } },
      }),
      wrap: ["unshare", "--mount", "--propagation", "private", "sh", "-c", OWN_NAMES, "sh", resolvConf, hosts],
    });
    const startedMs = performance.now();
    await daemon.waitForEvent({ msg: "endpoint published" });
    t.diagnostic(`published after ${Math.round(performance.now() - startedMs)} ms`);
    assert.ok(!daemon.events().some(({ code }) => code === "TIMEOUT"), "a store that was not slow is called slow");
    const stopMs = performance.now();
    assert.deepEqual(await daemon.process.stop(), { code: 0, signal: null });
    t.diagnostic(`ended after ${Math.round(performance.now() - stopMs)} ms`);
  });
});
