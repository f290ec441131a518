import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import * as z from "zod";
import { systemClock } from "../../src/clock.ts";
import { openStore, plugins } from "../../src/plugins/index.ts";
import { noSignal, storageKey, testStore } from "../conformance/store.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { fixture, temporaryDirectory } from "./fixtures.ts";
import { markChildren, waitForNoStrays } from "./processes.ts";

const mark = markChildren();
after(async () => assert.deepEqual(await waitForNoStrays(mark), [], "no process is left"));

const instance = { name: "mine", dedup: false, timeoutMs: 30_000, concurrency: 4 };
const key = storageKey("key");

testStore("openStore(), file", {
  open: async (t) => openIt({ kind: "file", options: { path: await temporaryDirectory(t) } }),
});
testStore("openStore(), shell", {
  open: async (t) =>
    openIt({ kind: "shell", options: { command: fixture("shell-directory.sh"), args: [await temporaryDirectory(t)] } }),
  keys: 20,
});

describe("openStore()", () => {
  test("throws CONFIG_INVALID for an unknown kind, naming the known ones", () => {
    for (const kind of ["files", "toString", "__proto__", ""]) {
      assert.throws(() => openIt({ kind, options: {} }), {
        code: "CONFIG_INVALID",
        message: `Cannot open plugin "mine": no plugin "${kind}", there are ${Object.keys(plugins).join(", ")}`,
      });
    }
  });

  test("ends a hanging program at the deadline and then leaves it alone for a while", async (t) => {
    const started = join(await temporaryDirectory(t), "started");
    const clock = createFakeClock();
    const options = { command: "sh", args: ["-c", 'touch "$0"; sleep 1000', started] };
    const store = openStore({ ...instance, kind: "exec", options }, { clock, random: () => 0 });
    const hanging = assert.rejects(store.get(key, noSignal()), {
      code: "TIMEOUT",
      message: 'Cannot get from plugin "mine": no answer within 30 s',
    });
    while (!existsSync(started)) await new Promise(setImmediate);
    await clock.advance(30_000);
    await hanging;
    await assert.rejects(store.get(key, noSignal()), {
      code: "STORE_UNAVAILABLE",
      message: /next try in 1 s: Cannot get/,
    });
  });

  test("tells everyone in line when the command is missing", async () => {
    const options = { command: "stunmesh-none", args: [] };
    const store = openStore(
      { ...instance, kind: "shell", concurrency: 1, options },
      { clock: createFakeClock(), random: () => 0 },
    );
    const outcomes = await Promise.allSettled([1, 2, 3].map((label) => store.get(storageKey(label), noSignal())));
    const messages = outcomes.map((outcome) => outcome.status === "rejected" && String(outcome.reason.message));
    assert.match(String(messages[0]), /^Cannot get from plugin "mine": no command "stunmesh-none" in PATH$/);
    for (const message of messages.slice(1)) assert.match(String(message), /failed once, next try in 1 s.*in PATH$/);
  });

  test("lets a watchable store be watched", async (t) => {
    const options = { path: await temporaryDirectory(t) };
    assert.equal(typeof openIt({ kind: "file", options }).watch, "function");
    assert.equal(openIt({ kind: "shell", options: { command: "sh", args: [] } }).watch, undefined);
  });
});

describe("plugins", () => {
  test("every schema refuses options the plugin does not take", () => {
    const wrong = [
      ["file", {}, "path"],
      ["file", { path: "/x", pth: "/y" }, "pth"],
      ["exec", { command: "" }, "command"],
      ["exec", { command: "x", args: "y" }, "args"],
      ["cloudflare", { zone: "example.com", subdomain: "wg" }, "token"],
      ["cloudflare", { zone: "example.com", token: "x", read: "both" }, "read"],
      ["cloudflare-kv", { account: "me", namespace: "0".repeat(32), token: "x" }, "account"],
      ["http", { url: "store.test" }, "url"],
      ["http", { url: "https://store.test", token: "" }, "token"],
      ["module", { pth: "/x" }, "path"],
      ["opendht", { magic: "x" }, "endpoint"],
      ["opendht", { endpoint: "http://x", endpoints: "http://y" }, "endpoints"],
      ["redis", { url: "http://x" }, "url"],
      ["redis", { url: "redis://x", expiration: "1" }, "expiration"],
      ["rfc2136", { server: "x", zone: "y.", key_name: "k" }, "key_secret"],
      ["rfc2136", { server: "x", zone: "y.", key_name: "k", key_secret: "aaaa", algorithm: "hmac-none" }, "algorithm"],
      ["shell", { args: [] }, "command"],
      ["shell", { command: "x", args: [true] }, "args"],
    ] as const;
    for (const [kind, options, option] of wrong) {
      const result = plugins[kind]!.schema.safeParse(options);
      assert.ok(JSON.stringify(result.error?.issues).includes(option), `${kind} ${option}`);
    }
  });

  test("every schema can be shown as JSON Schema, with a description for every option", () => {
    for (const [name, { schema }] of Object.entries(plugins)) {
      const json = z.toJSONSchema(schema, { io: "input" });
      assert.equal(json.type, "object");
      // The other options of a module are the module's own.
      assert.deepEqual(json.additionalProperties, name === "module" ? {} : false);
      for (const [option, about] of Object.entries(json.properties ?? {})) {
        assert.ok(typeof about === "object" && about.description, `${name}.${option} has a description`);
      }
    }
  });
});

function openIt({ kind, options }: { readonly kind: string; readonly options: unknown }) {
  return openStore({ ...instance, kind, options }, { clock: systemClock });
}
