import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { openStore } from "../../src/plugins/index.ts";
import { module } from "../../src/plugins/module.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { pluginContext, repository, temporaryDirectory } from "./fixtures.ts";

const key = storageKey("key");
const webdav = join(repository, "contrib/store-module/webdav.mjs");

/** A store in memory that can be watched, as a module's text. */
const memory = `export default (options, context) => {
  const values = new Map();
  const watches = new Set();
  return {
    get: async (key) => values.has(key) ? [values.get(key)] : [],
    async set(key, value) {
      values.set(key, value);
      for (const { onChange } of watches) onChange(key);
    },
    watch(keys, handlers) {
      watches.add(handlers);
      return { close: () => watches.delete(handlers) };
    },
    close() {},
  };
};`;

testStore("module, a store in memory", { open: (t) => openText(t, memory) });
testStore("module, contrib/store-module/webdav.mjs", {
  async open(t) {
    const { url } = await startWebdav(t);
    return module.open({ path: webdav, url, user: "mesh", password: "secret-of-the-test" }, pluginContext);
  },
});

describe("module", () => {
  test("passes options and context, and calls the methods of an object as its own", async (t) => {
    const store = await openText(
      t,
      `export default { open(options, context) {
        this.opened = true;
        return {
          said: JSON.stringify([options, context.name, this.opened, typeof context.clock.now()]),
          get() { return this.said; },
          set() {},
        };
      } };`,
      { url: "x", deep: { list: [1] } },
    );
    const [said = ""] = await store.get(key, noSignal());
    assert.deepEqual(JSON.parse(said), [{ url: "x", deep: { list: [1] } }, "mine", true, "number"]);
  });

  test("what get returns counts as a list, a single text or nothing", async (t) => {
    for (const [returned, values] of [
      ["undefined", []],
      ["null", []],
      ["''", []],
      ["'a'", ["a"]],
      ["Promise.resolve(['a', 'b'])", ["a", "b"]],
    ] as const) {
      assert.deepEqual(await (await openText(t, storeOf(`return ${returned}`))).get(key, noSignal()), values);
    }
  });

  const failures = {
    "STORE_REPLY_INVALID: get() returned an object, a list of texts is wanted": storeOf("return {}"),
    "STORE_REPLY_INVALID: get() returned a number, a list of texts is wanted": storeOf("return 7"),
    "STORE_FAILED: no luck": storeOf("throw new Error('no luck')"),
    "STORE_FAILED: no luck ": storeOf("return Promise.reject('no luck')"),
    "STORE_UNAVAILABLE: gone": storeOf("throw Object.assign(new Error('gone'), { code: 'STORE_UNAVAILABLE' })"),
    "STORE_FAILED: odd": storeOf("throw Object.assign(new Error('odd'), { code: 'CONFIG_INVALID' })"),
    "STORE_FAILED: [hidden] is refused": storeOf("throw new Error(options.token + ' is refused')"),
    "STORE_UNAVAILABLE: its default export is no function (options, context) => store": "export const open = 1;",
    "STORE_UNAVAILABLE: its default export is no function (options, context) => store ": "export default { open: 1 };",
    "STORE_UNAVAILABLE: what it opened is no store: it has no function get, or none set":
      "export default () => ({ get() {} });",
    "STORE_UNAVAILABLE: what it opened is no store: it has no function get, or none set ": "export default () => {};",
    "STORE_FAILED: not today": "export default () => { throw new Error('not today'); };",
    "STORE_FAILED: Unexpected token": "export default ) => 1;",
  };
  for (const [says, text] of Object.entries(failures)) {
    test(`get throws ${says.trim()}`, async (t) => {
      const store = await openText(t, text, { token: "a-token-of-the-test" });
      await assert.rejects(store.get(key, noSignal()), (error: Error & { readonly code: string }) => {
        const message = error.message.replace(/module ".*": /, "");
        const [code, why = ""] = says.trim().split(/: (.*)/s);
        assert.equal(error.code, code);
        assert.ok(message.startsWith(`Cannot get from plugin "mine": ${why}`), message);
        assert.equal(error.cause, undefined);
        return true;
      });
    });
  }

  test("what is said about a module keeps its words when one of them is a secret", async (t) => {
    for (const [text, token, why] of [
      ["export default 1", "function", "its default export is no function (options, context) => store"],
      [storeOf("return {}"), "returned", "get() returned an object, a list of texts is wanted"],
    ] as const) {
      const store = await openText(t, text, { token });
      await assert.rejects(store.get(key, noSignal()), (error: Error) => error.message.endsWith(`": ${why}`));
    }
  });

  test("an error of set hides the value", async (t) => {
    const store = await openText(
      t,
      "export default () => ({ get() {}, set(key, value) { throw new Error('not ' + value); } });",
    );
    await assert.rejects(store.set(key, "grüße-to-be-hidden", noSignal()), { message: /: not \[hidden\]$/ });
  });

  test("a module that is missing is found later, and a broken one is read again when it was changed", async (t) => {
    const path = join(await temporaryDirectory(t), "store.mjs");
    const store = module.open({ path }, pluginContext);
    const unavailable = {
      code: "STORE_UNAVAILABLE",
      message: `Cannot get from plugin "mine": module "${path}": there is no such file`,
    };
    await assert.rejects(store.get(key, noSignal()), unavailable);
    await writeFile(path, "export default 1");
    await assert.rejects(store.get(key, noSignal()), { message: /default export/ });
    await writeFile(path, storeOf("return 'found'"));
    assert.deepEqual(await store.get(key, noSignal()), ["found"]);
  });

  test("a call that never settles ends at the deadline, and does not hold up the close", async (t) => {
    const path = join(await temporaryDirectory(t), "store.mjs");
    await writeFile(
      path,
      `export default () => ({ get: () => new Promise(() => {}), set() {}, close: () => new Promise(() => {}) })`,
    );
    const clock = createFakeClock();
    const instance = { name: "mine", kind: "module", timeoutMs: 30_000, concurrency: 4, options: { path } };
    const store = openStore(instance, { clock, random: () => 0 });
    await store.set(key, "x", noSignal());
    const hanging = assert.rejects(store.get(key, noSignal()), { code: "TIMEOUT" });
    await clock.advance(30_000);
    await hanging;
    let isClosed = false;
    const closing = store.close?.().then(() => {
      isClosed = true;
    });
    await clock.advance(1999);
    assert.equal(isClosed, false);
    await clock.advance(1);
    await closing;
  });

  test("watch hears of keys that are watched until it is closed", async (t) => {
    const store = await openText(t, memory);
    await store.set(key, "x", noSignal());
    const heard: string[] = [];
    const watch = store.watch?.([key], { onChange: (changed) => heard.push(changed), onError: assert.fail });
    await store.get(key, noSignal());
    for (const label of ["key", "other"]) await store.set(storageKey(label), "y", noSignal());
    assert.deepEqual(heard, [key]);
    watch?.close();
    await store.set(key, "z", noSignal());
    assert.deepEqual(heard, [key]);
  });

  test("watch of a module that cannot watch is silent, one that breaks is one error", async (t) => {
    const errors: string[] = [];
    const handlers = { onChange: assert.fail, onError: (error: unknown) => errors.push(String(error)) };
    const texts = [
      storeOf("return []"),
      "export default () => ({ get() {}, set() {}, watch() { throw new Error('cannot') } })",
      "export default () => ({ get() {}, set() {}, watch() {} })",
      "export default () => ({ get() {}, set() {}, watch(_, { onError }) { onError('a'); onError('b'); return { close() { throw 1 } } } })",
      "export default 1",
    ];
    for (const text of texts) {
      const store = await openText(t, text);
      store.watch?.([key], handlers);
      await store.get(key, noSignal()).catch(() => undefined);
    }
    assert.deepEqual(
      errors.map((error) => error.replace(/^.*Cannot watch plugin "mine": module "[^"]*": /, "")),
      [
        "cannot",
        "watch() returned nothing that can be closed",
        "a",
        "its default export is no function (options, context) => store",
      ],
    );
  });
});

describe("contrib/store-module/webdav.mjs", () => {
  test("is the example of docs/plugins.md", () => {
    const page = readFileSync(join(repository, "docs/plugins.md"), "utf8");
    assert.ok(page.includes(`<!-- example: webdav.mjs -->\n\`\`\`js\n${readFileSync(webdav, "utf8")}\`\`\`\n`));
  });

  test("tells a wrong password, a missing folder and a server that is away apart", async (t) => {
    const server = await startWebdav(t);
    const options = { path: webdav, url: server.url, user: "mesh", password: "secret-of-the-test" };
    const wrong = module.open({ ...options, password: "a-wrong-password" }, pluginContext);
    await assert.rejects(wrong.get(key, noSignal()), { code: "STORE_UNAVAILABLE", message: /mine answers 401$/ });
    const store = module.open({ ...options, url: `${server.url}/missing` }, pluginContext);
    await assert.rejects(store.set(key, sealedValue(), noSignal()), { code: "STORE_FAILED", message: /no folder at/ });
    await server.close();
    const away = module.open(options, pluginContext);
    await assert.rejects(away.get(key, noSignal()), { code: "STORE_UNAVAILABLE", message: /cannot reach http/ });
  });
});

function storeOf(body: string): string {
  return `export default (options) => ({ get() { ${body} }, set() {} });`;
}

async function openText(t: TestContext, text: string, options: Readonly<Record<string, unknown>> = {}): Promise<Store> {
  const path = join(await temporaryDirectory(t), "store.mjs");
  await writeFile(path, text);
  return module.open({ path, ...options }, pluginContext);
}

/** A WebDAV server as far as one folder needs it. */
async function startWebdav(t: TestContext): Promise<{ readonly url: string; close(): Promise<void> }> {
  const values = new Map<string, string>();
  const expected = `Basic ${Buffer.from("mesh:secret-of-the-test").toString("base64")}`;
  async function statusOf(request: IncomingMessage): Promise<number> {
    const path = request.url ?? "";
    if (request.headers.authorization !== expected) return 401;
    if (path.includes("missing")) return 404;
    if (request.method !== "PUT") return values.has(path) ? 200 : 404;
    values.set(path, Buffer.concat(await request.toArray()).toString());
    return 201;
  }
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    statusOf(request).then(
      (status) => response.writeHead(status).end(status === 200 ? values.get(request.url ?? "") : ""),
      () => response.destroy(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  async function close(): Promise<void> {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
  t.after(close);
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/folder`, close };
}
