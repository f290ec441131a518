/** The `opendht` plugin against two real nodes of OpenDHT with their proxies, in a network namespace of their own. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { opendht } from "../../src/plugins/opendht.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { runInOwnNamespace } from "./own-namespace.ts";
import { waitFor } from "./wait.ts";

const FIRST = "http://127.0.0.1:8080";
const SECOND = "http://127.0.0.1:8081";

runInOwnNamespace(import.meta.url);

const nodes: ChildProcess[] = [];
before(async () => {
  nodes.push(startNode(["-p", "4222", "--proxyserver", "8080"]));
  await waitForProxy(FIRST);
  nodes.push(startNode(["-p", "4223", "-b", "127.0.0.1:4222", "--proxyserver", "8081"]));
  await waitForProxy(SECOND);
});
after(() => Promise.all(nodes.map(stopNode)));

let mesh = 0;
/** A store of a mesh that nobody else uses: the nodes stay the same. */
function open(options: object = {}): Store {
  const magic = `test-${mesh++}`;
  return opendht.open(opendht.schema.parse({ endpoint: FIRST, magic, ...options }), {
    name: "dht",
    clock: systemClock,
  });
}

testStore("opendht", {
  async open(t) {
    const store = open();
    t.after(() => store.close?.());
    // Older values stay until they expire: the suite looks at the newest.
    return { ...store, get: async (key, signal) => (await store.get(key, signal)).slice(0, 1) };
  },
  keys: 100,
});

test("get returns every value of the mesh, newest first, through either node", async () => {
  const key = storageKey("history");
  const [here, there] = [open({ magic: "history" }), open({ magic: "history", endpoint: SECOND })];
  const stranger = open({ magic: "stranger" });
  const values = [sealedValue(), sealedValue(258), sealedValue(138)];
  for (const value of values) await here.set(key, value, noSignal());
  await stranger.set(key, sealedValue(), noSignal());
  await putRaw(key, Buffer.from('{"magic":"history","ts":"x"}').toString("base64"));
  await putRaw(key, Buffer.from("junk").toString("base64"));
  for (const store of [here, there]) assert.deepEqual(await store.get(key, noSignal()), values.toReversed());
  await Promise.all([here, there, stranger].map((store) => store.close?.()));
});

test("junk of somebody else does not hide a value, however much it is", async () => {
  const store = open({ magic: "flooded" });
  const key = storageKey("flooded");
  const value = sealedValue();
  await store.set(key, value, noSignal());
  for (let count = 0; count < 12; count++) await putRaw(key, Buffer.alloc(40_000, count).toString("base64"));
  assert.ok((await store.get(key, noSignal())).includes(value));
  await store.close?.();
});

test("a record of STUNMESH-go is read, and it can read ours", async () => {
  const key = storageKey("interop");
  const store = open({ magic: "" });
  const ts = Math.floor(Date.now() / 1000) - 5;
  const theirs = Buffer.from(`{"magic":"stunmesh-v1","ts":${ts},"data":"00ff"}`).toString("base64");
  await putRaw(key, theirs);
  assert.deepEqual(await store.get(key, noSignal()), ["00ff"]);
  await store.set(key, "abcd", noSignal());
  const lines = (await (await fetch(`${SECOND}/key/${key}`)).text()).trim().split("\n");
  const envelopes = lines.map((line) => Buffer.from(JSON.parse(line).data, "base64").toString());
  const ours = envelopes.find((text) => text.includes("abcd"));
  assert.match(ours ?? "", /^\{"magic":"stunmesh-v1","ts":\d{10},"data":"abcd"\}$/);
  assert.equal(envelopes.length, 2);
  await store.close?.();
});

test("watch tells of each new value through the other node, and not of those already known", async (t) => {
  const writer = open({ magic: "watched", endpoint: SECOND });
  const reader = open({ magic: "watched" });
  const keys = [storageKey("watched 1"), storageKey("watched 2")] as const;
  const old = sealedValue();
  await writer.set(keys[0], old, noSignal());
  const changes: string[] = [];
  const watch = reader.watch?.(keys, { onChange: (key) => changes.push(key), onError: assert.fail });
  t.after(() => watch?.close());
  await waitFor(() => changes.length === 1, { what: "the value that was there" });
  const latencies: number[] = [];
  for (let round = 0; round < 10; round++) {
    const count = changes.length;
    const startedMs = performance.now();
    await writer.set(keys[1], sealedValue(), noSignal());
    await waitFor(() => changes.length > count, { what: "a change", everyMs: 1 });
    latencies.push(performance.now() - startedMs);
    assert.equal(changes.at(-1), keys[1]);
  }
  t.diagnostic(`set to onChange through two nodes: ${describe(latencies)}`);
  await Promise.all([writer, reader].map((store) => store.close?.()));
});

// Before any node is stopped: the others would look for it for a while.
test("how long calls take", async (t) => {
  const store = open();
  for (const operation of ["set", "get"] as const) {
    const times: number[] = [];
    for (let round = 0; round < 50; round++) {
      const key = storageKey(`timed ${round}`);
      const startedMs = performance.now();
      if (operation === "set") await store.set(key, sealedValue(), noSignal());
      else assert.equal((await store.get(key, noSignal())).length, 1);
      times.push(performance.now() - startedMs);
    }
    t.diagnostic(`${operation}: ${describe(times)}`);
  }
  await store.close?.();
});

test("another endpoint takes over when one refuses or is stopped, and watching goes on there", async (t) => {
  const magic = "failing over";
  const refused = open({ magic, endpoints: ["http://127.0.0.1:9", FIRST], endpoint: "http://127.0.0.1:8" });
  const key = storageKey("failing over");
  const value = sealedValue();
  await refused.set(key, value, noSignal());
  assert.deepEqual(await refused.get(key, noSignal()), [value]);

  const third = startNode(["-p", "4224", "-b", "127.0.0.1:4222", "--proxyserver", "8082"]);
  t.after(() => stopNode(third));
  await waitForProxy("http://127.0.0.1:8082");
  const watcher = open({ magic, endpoint: "http://127.0.0.1:8082", endpoints: [FIRST] });
  let changes = 0;
  const watch = watcher.watch?.([key], { onChange: () => changes++, onError: assert.fail });
  t.after(() => watch?.close());
  await waitFor(() => changes === 1, { what: "the value that was there" });
  await stopNode(third);
  const newer = sealedValue();
  await refused.set(key, newer, noSignal());
  await waitFor(() => changes === 2, { what: "a change by way of the other endpoint" });
  assert.deepEqual(await watcher.get(key, noSignal()), [newer, value]);
  await Promise.all([refused, watcher].map((store) => store.close?.()));
});

test("is unavailable without any endpoint, and usable when one comes back", async (t) => {
  const store = open({ endpoint: "http://127.0.0.1:8083" });
  const key = storageKey("coming back");
  await assert.rejects(store.get(key, noSignal()), { code: "STORE_UNAVAILABLE", message: /refused.*ECONNREFUSED/ });
  const node = startNode(["-p", "4225", "-b", "127.0.0.1:4222", "--proxyserver", "8083"]);
  t.after(() => stopNode(node));
  await waitForProxy("http://127.0.0.1:8083");
  await store.set(key, "value", noSignal());
  assert.deepEqual(await store.get(key, noSignal()), ["value"]);
  await store.close?.();
});

function startNode(args: readonly string[]): ChildProcess {
  // It is a shell for people: it ends when its input does.
  return spawn("dhtnode", args, { stdio: ["pipe", "ignore", "ignore"] });
}

async function stopNode(node: ChildProcess): Promise<void> {
  if (node.exitCode !== null || node.signalCode !== null) return;
  const ended = new Promise((resolve) => node.once("exit", resolve));
  node.kill("SIGKILL");
  await ended;
}

async function waitForProxy(url: string): Promise<void> {
  const isThere = () =>
    fetch(`${url}/node/info`).then(
      async (reply) => reply.ok && (await reply.text()) !== "",
      () => false,
    );
  await waitFor(isThere, { what: `the proxy ${url}` });
}

/** Puts a value as anybody may. */
async function putRaw(key: string, data: string): Promise<void> {
  const reply = await fetch(`${FIRST}/key/${key}`, { method: "POST", body: JSON.stringify({ data }) });
  assert.equal(reply.status, 200, await reply.text());
}

function describe(timesMs: readonly number[]): string {
  const sorted = timesMs.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]?.toFixed(1);
  return `median ${at(0.5)} ms, 95 % ${at(0.95)} ms, longest ${at(1)} ms`;
}
