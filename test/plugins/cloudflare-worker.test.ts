/** contrib/cloudflare-worker in the real workerd, with miniflare's KV, asked by the `http` plugin. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { build } from "esbuild";
import { Miniflare } from "miniflare";
import { http } from "../../src/plugins/http.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { waitFor } from "../lab/wait.ts";
import { pluginContext, repository } from "./fixtures.ts";

const READ_TOKEN = "read-0123456789";
const WRITE_TOKEN = "write-0123456789";
const key = storageKey("key");
let script = "";
let worker: Miniflare | undefined;
let url = "";

before(async () => {
  const built = await build({
    entryPoints: [join(repository, "contrib/cloudflare-worker/src/index.ts")],
    bundle: true,
    format: "esm",
    write: false,
  });
  script = built.outputFiles[0]!.text;
  worker = startWorker({ READ_TOKEN, WRITE_TOKEN, POLL_SECONDS: "0.02" });
  url = String(await worker.ready).replace(/\/$/, "");
});
after(() => worker?.dispose());

function startWorker(bindings: Readonly<Record<string, string>>): Miniflare {
  return new Miniflare({
    modules: true,
    script,
    bindings: { ...bindings },
    kvNamespaces: ["RECORDS"],
    compatibilityDate: "2026-01-01",
    host: "127.0.0.1",
    port: 0,
  });
}

function open(options: object = { token: WRITE_TOKEN }): Store {
  return http.open(http.schema.parse({ url, ...options }), pluginContext);
}

async function clear(): Promise<void> {
  const namespace = await worker!.getKVNamespace("RECORDS");
  const { keys } = await namespace.list();
  await Promise.all(keys.map(({ name }) => namespace.delete(name)));
}

function ask(path: string, { token = WRITE_TOKEN, ...init }: RequestInit & { token?: string } = {}): Promise<Response> {
  return fetch(`${url}${path}`, { ...init, headers: { authorization: `Bearer ${token}` } });
}

testStore("http with contrib/cloudflare-worker", {
  async open(t) {
    await clear();
    const store = open();
    t.after(() => store.close?.());
    return store;
  },
  keys: 40,
});

describe("contrib/cloudflare-worker", () => {
  test("reads with either token, writes with one, refuses others", async () => {
    const writer = open({ read_token: READ_TOKEN, write_token: WRITE_TOKEN });
    await writer.set(key, "value", noSignal());
    assert.deepEqual(await writer.get(key, noSignal()), ["value"]);
    const reader = open({ token: READ_TOKEN });
    assert.deepEqual(await reader.get(key, noSignal()), ["value"]);
    await assert.rejects(reader.set(key, "other", noSignal()), {
      code: "STORE_UNAVAILABLE",
      message: /forbids this: the token lacks the right to it \(status 403: this token may only read\)$/,
    });
    for (const options of [{ token: "write-012345678x" }, {}, { token: `${WRITE_TOKEN}0` }]) {
      const stranger = open(options);
      await assert.rejects(stranger.get(key, noSignal()), { code: "STORE_UNAVAILABLE", message: /status 401/ });
      await assert.rejects(stranger.set(key, "other", noSignal()), {
        code: "STORE_UNAVAILABLE",
        message: /status 401/,
      });
    }
    assert.deepEqual(await writer.get(key, noSignal()), ["value"]);
  });

  test("refuses everything while its tokens are not set", async () => {
    for (const bindings of [{}, { READ_TOKEN }, { WRITE_TOKEN, READ_TOKEN: "" }]) {
      const open = startWorker(bindings);
      try {
        const base = String(await open.ready);
        const reply = await fetch(`${base}v1/${key}`, { headers: { authorization: "Bearer " } });
        assert.equal(reply.status, 503);
        assert.match(await reply.text(), /READ_TOKEN and WRITE_TOKEN are not set/);
      } finally {
        await open.dispose();
      }
    }
  });

  test("takes values of 1 to 2048 bytes of text, under keys of 40 hexadecimal characters", async () => {
    const statusOf = async (path: string, body: string | Uint8Array) =>
      (await ask(path, { method: "PUT", body })).status;
    const path = `/v1/${key}`;
    assert.equal(await statusOf(path, "x".repeat(2048)), 204);
    assert.equal(await statusOf(path, "x".repeat(2049)), 413);
    assert.equal(await statusOf(path, "é".repeat(1025)), 413);
    assert.equal(await statusOf(path, ""), 400);
    assert.equal(await statusOf(path, "a\0b"), 400);
    assert.equal(await statusOf(path, new Uint8Array([0xff, 0xfe])), 400);
    for (const other of [
      "/",
      "/v1/",
      `/v1/${key}0`,
      `/v1/${key.slice(1)}g`,
      `/v2/${key}`,
      `/v1/${key}/x`,
      "/v1/%2e%2e",
    ]) {
      assert.equal(await statusOf(other, "x"), 400, other);
      assert.equal((await ask(other)).status, 400, other);
    }
    assert.equal((await ask(path, { method: "DELETE" })).status, 405);
    assert.equal((await (await ask(path)).text()).length, 2048);
    await assert.rejects(open().set(key, "x".repeat(3000), noSignal()), {
      code: "STORE_FAILED",
      message: /too long.*413/,
    });
  });

  test("a body without a length is cut off when it is too long", async () => {
    const piece = new Uint8Array(1024).fill(0x61);
    let pieces = 0;
    const body = new ReadableStream({
      pull(controller) {
        if (pieces++ < 64) controller.enqueue(piece);
        else controller.close();
      },
    });
    const init = { method: "PUT", body, duplex: "half" } as RequestInit;
    assert.equal((await ask(`/v1/${key}`, init)).status, 413);
  });

  test("gives a value an ETag that changes with it, and keeps it for the time that is set", async () => {
    await clear();
    const put = await ask(`/v1/${key}`, { method: "PUT", body: "one" });
    const got = await ask(`/v1/${key}`);
    assert.equal(got.headers.get("etag"), put.headers.get("etag"));
    assert.match(got.headers.get("etag") ?? "", /^"[0-9a-f]{24}"$/);
    assert.equal(got.headers.get("cache-control"), "no-store");
    await ask(`/v1/${key}`, { method: "PUT", body: "two" });
    assert.notEqual((await ask(`/v1/${key}`)).headers.get("etag"), got.headers.get("etag"));
    const namespace = await worker!.getKVNamespace("RECORDS");
    const { keys } = await namespace.list();
    const leftS = (keys[0]?.expiration ?? 0) - Date.now() / 1000;
    assert.ok(leftS > 86_300 && leftS <= 86_401, `${leftS} s`);
  });

  test("a long poll ends with the change, or without one after its time", async () => {
    await clear();
    const none = await ask(`/v1/${key}?since=&wait=0.1`);
    assert.equal(none.status, 404);
    const first = ask(`/v1/${key}?since=&wait=20`);
    await ask(`/v1/${key}`, { method: "PUT", body: "one" });
    const one = await first;
    assert.equal(await one.text(), "one");
    const version = one.headers.get("etag")!.replaceAll('"', "");
    const unchanged = await ask(`/v1/${key}?since=${version}&wait=0.1`);
    assert.deepEqual([unchanged.status, await unchanged.text()], [304, ""]);
    const second = ask(`/v1/${key}?since=${version}&wait=20`);
    await ask(`/v1/${key}`, { method: "PUT", body: "two" });
    assert.equal(await (await second).text(), "two");
    assert.equal((await ask(`/v1/${key}?since=other&wait=20`)).status, 200);
  });

  test("watch tells of each change of a key", async (t) => {
    await clear();
    const writer = open();
    const reader = open({ token: READ_TOKEN });
    const keys = [storageKey("watched 1"), storageKey("watched 2")] as const;
    await writer.set(keys[0], sealedValue(), noSignal());
    const changes: string[] = [];
    const watch = reader.watch?.(keys, { onChange: (changed) => changes.push(changed), onError: assert.fail });
    t.after(() => watch?.close());
    await waitFor(() => changes.length === 1, { what: "the value that was there" });
    const latencies: number[] = [];
    for (let round = 0; round < 3; round++) {
      const changed = keys[round % 2]!;
      const startedMs = performance.now();
      await writer.set(changed, sealedValue(), noSignal());
      await waitFor(() => changes.length === round + 2, { what: "a change", everyMs: 1 });
      latencies.push(performance.now() - startedMs);
      assert.equal(changes.at(-1), changed);
    }
    t.diagnostic(`set to onChange: ${latencies.map((ms) => ms.toFixed(0)).join(", ")} ms`);
  });

  test("how long calls take", async (t) => {
    const store = open();
    for (const operation of ["set", "get"] as const) {
      const startedMs = performance.now();
      for (let round = 0; round < 40; round++) {
        if (operation === "set") await store.set(storageKey(round), sealedValue(), noSignal());
        else assert.equal((await store.get(storageKey(round), noSignal())).length, 1);
      }
      t.diagnostic(`${operation}: ${((performance.now() - startedMs) / 40).toFixed(1)} ms`);
    }
    await store.close?.();
  });
});
