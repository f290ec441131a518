/** The `opendht` plugin against a proxy that misbehaves; test/lab/opendht.test.ts asks real ones. */
import assert from "node:assert/strict";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { describe, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { systemClock } from "../../src/clock.ts";
import { openStore } from "../../src/plugins/index.ts";
import { opendht } from "../../src/plugins/opendht.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { type FakeServer, serve } from "../fakes/http-server.ts";

const key = storageKey("key");

/** A proxy that keeps what is put and tells those who listen. */
function createFakeDht() {
  const lines = new Map<string, string[]>();
  const listeners = new Map<string, Set<ServerResponse>>();
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, , hash = "", isListening] = request.url?.split("/") ?? [];
    const known = lines.get(hash) ?? [];
    if (request.method === "POST") {
      const line = Buffer.concat(await request.toArray()).toString();
      lines.set(hash, [...known, line]);
      for (const listener of listeners.get(hash) ?? []) listener.write(`${line}\n`);
      response.end(line);
    } else if (isListening) {
      listeners.set(hash, (listeners.get(hash) ?? new Set()).add(response));
      response.writeHead(200).write(known.map((line) => `${line}\n`).join("") || "\n");
    } else {
      response.end(known.map((line) => `${line}\n`).join(""));
    }
  }
  const listener: RequestListener = (request, response) => void answer(request, response);
  return { listener, listeners };
}

function open(options: object, clock = systemClock): Store {
  return opendht.open(opendht.schema.parse(options), { name: "dht", clock });
}

async function pair(t: TestContext, listener: RequestListener): Promise<{ server: FakeServer; store: Store }> {
  const server = await serve(t, listener);
  const store = open({ endpoint: server.url });
  t.after(() => store.close?.());
  return { server, store };
}

testStore("opendht with a fake proxy", {
  async open(t) {
    const { store } = await pair(t, createFakeDht().listener);
    return { ...store, get: async (wanted, signal) => (await store.get(wanted, signal)).slice(0, 1) };
  },
  keys: 1000,
});

describe("opendht", () => {
  test("has the options of STUNMESH-go", () => {
    const parse = (options: object) => opendht.schema.parse(options);
    const endpoints = ["https://a.test/x/", "", "http://b.test:8080", "https://a.test/x"];
    assert.deepEqual(parse({ endpoint: "http://c.test/", endpoints }), {
      endpoints: ["http://c.test", "https://a.test/x", "http://b.test:8080"],
      magic: "stunmesh-v1",
    });
    assert.equal(parse({ endpoint: "http://c.test", magic: "own" }).magic, "own");
    const wrong = [{}, { endpoint: "" }, { endpoints: [] }, { endpoint: "c.test" }, { endpoint: "ftp://c.test" }];
    for (const options of [...wrong, { endpoints: "http://c.test" }, { endpoint: "http://c.test", x: 1 }]) {
      assert.ok(!opendht.schema.safeParse(options).success, JSON.stringify(options));
    }
    assert.equal(opendht.expiresAfterMs, 600_000);
  });

  test("asks the proxy as STUNMESH-go does", async (t) => {
    const { server, store } = await pair(t, createFakeDht().listener);
    await store.set(key, "00ff", noSignal());
    assert.equal(server.lastHeaders()["content-type"], "application/json");
    assert.deepEqual(await store.get(key, noSignal()), ["00ff"]);
    assert.deepEqual(server.requests, [`POST /key/${key}`, `GET /key/${key}`]);
    await assert.rejects(store.get("../node/info", noSignal()), { code: "STORE_FAILED" });
  });

  test("values put within one second are in order, also when the clock goes back", async (t) => {
    const server = await serve(t, createFakeDht().listener);
    const clock = createFakeClock();
    const store = open({ endpoint: server.url }, clock);
    for (const value of ["1", "2", "3"]) await store.set(key, value, noSignal());
    clock.jump(-3_600_000);
    await store.set(key, "4", noSignal());
    assert.deepEqual(await store.get(key, noSignal()), ["4", "3", "2", "1"]);
    await store.close?.();
  });

  test("what a proxy does wrong is told, and tried at the next", async (t) => {
    const good = await serve(t, createFakeDht().listener);
    const writer = open({ endpoint: good.url });
    await writer.set(key, "value", noSignal());
    const faults: readonly [RequestListener, string, RegExp][] = [
      [(_got, response) => response.writeHead(400).end(), "STORE_FAILED", /refuses the request \(status 400\)/],
      [(_got, response) => response.writeHead(401).end(), "STORE_UNAVAILABLE", /does not accept the token/],
      [(_got, response) => response.writeHead(403).end(), "STORE_UNAVAILABLE", /forbids/],
      [(_got, response) => response.writeHead(404).end(), "STORE_FAILED", /is the URL complete/],
      [(_got, response) => response.writeHead(429, { "retry-after": "9" }).end(), "STORE_UNAVAILABLE", /too many/],
      [(_got, response) => response.writeHead(500).end("oops"), "STORE_UNAVAILABLE", /failure of its own/],
      [
        (_got, response) => response.writeHead(302, { location: "https://portal.test/login" }).end(),
        "STORE_UNAVAILABLE",
        /it says the service is at "https:\/\/portal\.test"/,
      ],
      [(got) => got.socket.destroy(), "STORE_UNAVAILABLE", /broke off/],
      [(_got, response) => response.end("<html>\nlog in</html>\n"), "STORE_REPLY_INVALID", /is it an OpenDHT proxy/],
      [
        (_got, response) => {
          response.writeHead(200, { "content-length": 999 }).write('{"data":"e');
          response.socket?.end();
        },
        "STORE_UNAVAILABLE",
        /broke off/,
      ],
    ];
    for (const [listener, code, message] of faults) {
      const { server, store } = await pair(t, listener);
      await assert.rejects(store.get(key, noSignal()), { code, message });
      await assert.rejects(store.set(key, "value", noSignal()), { code }, String(message));
      const both = open({ endpoint: server.url, endpoints: [good.url] });
      assert.deepEqual(await both.get(key, noSignal()), ["value"], String(message));
      await both.close?.();
      await server.stop();
    }
    await writer.close?.();
  });

  test("a proxy that has lost the others hides nothing: the next one is asked too", async (t) => {
    const [empty, full] = [await serve(t, createFakeDht().listener), await serve(t, createFakeDht().listener)];
    const store = open({ endpoint: empty.url, endpoints: [full.url] });
    assert.deepEqual(await store.get(key, noSignal()), []);
    const other = open({ endpoint: full.url });
    await other.set(key, "there", noSignal());
    assert.deepEqual(await store.get(key, noSignal()), ["there"]);
    await store.close?.();
    await other.close?.();
  });

  test("reads past junk, and no more than 4 MiB of it", async (t) => {
    const envelope = Buffer.from('{"magic":"stunmesh-v1","ts":1,"data":"found"}').toString("base64");
    let sent = 0;
    const { store } = await pair(t, (_got, response) => {
      response.write(`{"data":"${"A".repeat(90_000)}"}\nnonsense\n{"data":"${envelope}","id":"1"}\n`);
      const chunk = `{"data":"${"A".repeat(60_000)}"}\n`.repeat(10);
      const write = () => {
        while (!response.destroyed && sent < 100e6) {
          sent += chunk.length;
          if (!response.write(chunk)) return;
        }
        response.end();
      };
      response.on("drain", write);
      write();
    });
    assert.deepEqual(await store.get(key, noSignal()), ["found"]);
    assert.ok(sent < 20e6, `${sent} bytes were sent`);
  });

  test("a slow endpoint does not use up the deadline: the next one is asked as well", async (t) => {
    const slow = await serve(t, () => undefined);
    const good = await serve(t, createFakeDht().listener);
    const clock = createFakeClock();
    const options = opendht.schema.parse({ endpoint: slow.url, endpoints: [good.url] });
    const instance = { name: "dht", kind: "opendht", timeoutMs: 30_000, concurrency: 4, options };
    const store = openStore(instance, { clock, random: () => 0 });
    const called = store.get(key, noSignal());
    while (slow.requests.length === 0) await setImmediate();
    await clock.advance(7000);
    // Nothing is there, and the slow one has had its time.
    assert.deepEqual(await called, []);
    await store.close?.();
  });

  test("watch is renewed when the answer ends, and tells what was put meanwhile, once", async (t) => {
    const dht = createFakeDht();
    const server = await serve(t, dht.listener);
    const clock = createFakeClock();
    const store = open({ endpoint: server.url }, clock);
    const changes: string[] = [];
    const watch = store.watch?.([key], { onChange: (changed) => changes.push(changed), onError: assert.fail });
    const listening = () => [...(dht.listeners.get(key) ?? [])].filter((response) => !response.destroyed);
    const until = async (condition: () => boolean) => {
      while (!condition()) await clock.advance(10);
    };
    await until(() => listening().length === 1);
    await store.set(key, sealedValue(), noSignal());
    await until(() => changes.length === 1);
    for (const response of listening()) response.destroy();
    await store.set(key, sealedValue(), noSignal());
    await until(() => changes.length === 2);
    // Nothing is said for a long time: the request is made anew.
    const before = server.requests.length;
    await clock.advance(15 * 60_000);
    await until(() => server.requests.length > before && listening().length === 1);
    await store.get(key, noSignal());
    assert.deepEqual(changes, [key, key]);
    watch?.close();
    await until(() => listening().length === 0);
    assert.equal(clock.sleeping, 0);
    await store.close?.();
  });

  test("watch ends when no endpoint can listen", async (t) => {
    const old = await serve(t, (_got, response) => response.writeHead(404).end());
    const clock = createFakeClock();
    const store = open({ endpoint: old.url, endpoints: [`${old.url}/x`] }, clock);
    const errors: unknown[] = [];
    store.watch?.([key], { onChange: assert.fail, onError: (error) => errors.push(error) });
    while (errors.length === 0) await clock.advance(100);
    assert.equal(errors.length, 1);
    assert.match(String(errors[0]), /Cannot watch plugin "dht": .* \(status 404\)/);
    await store.close?.();
  });
});
