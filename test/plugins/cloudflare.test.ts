/** The `cloudflare` plugin against a fake API; test/plugins/cloudflare-faults.test.ts has what goes wrong. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { parse } from "yaml";
import { systemClock } from "../../src/clock.ts";
import { cloudflare } from "../../src/plugins/cloudflare.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { type FakeCloudflare, newId, startFakeCloudflare, TOKEN } from "../fakes/cloudflare-api.ts";
import { serve } from "../fakes/http-server.ts";
import { fixture, repository } from "./fixtures.ts";

const key = storageKey("key");
const name = `${key}.wg.example.com`;

/** A store that needs not wait for its budget. */
function open(t: TestContext, api: FakeCloudflare, options: object = {}, clock = systemClock): Store {
  const common = { zone: "example.com", subdomain: "wg", token: TOKEN, api_url: api.apiUrl, call_limit: 100_000 };
  const store = cloudflare.open(cloudflare.schema.parse({ ...common, ...options }), { name: "mine", clock });
  t.after(() => store.close?.());
  return store;
}

async function pair(t: TestContext, options: object = {}) {
  const api = await startFakeCloudflare(t);
  return { api, store: open(t, api, options) };
}

testStore("cloudflare", { open: async (t) => (await pair(t)).store, keys: 100 });

describe("cloudflare, writing", () => {
  test("makes one record, named and filled as STUNMESH-go does, for 60 s", async (t) => {
    const { api, store } = await pair(t);
    await store.set(key, "00ff", noSignal());
    const [record, ...others] = api.zones[0]!.records;
    assert.deepEqual(others, []);
    const { name: recordName, type, content, ttl, comment } = record!;
    assert.deepEqual(
      { recordName, type, content, ttl, comment },
      { recordName: name, type: "TXT", content: "00ff", ttl: 60, comment: "stunmesh" },
    );
    assert.equal(api.lastHeaders().authorization, `Bearer ${TOKEN}`);
    assert.equal(api.lastHeaders()["user-agent"], "stunmesh-ts");
    const told = Object.keys(api.lastHeaders()).filter((field) => /^x-|stainless|api-version/.test(field));
    assert.deepEqual(told, [], "nothing about this host");
  });

  test("takes nothing from the environment", async (t) => {
    const foreign = {
      API_TOKEN: "x",
      API_KEY: "x",
      EMAIL: "x@example.com",
      BASE_URL: "http://127.0.0.1:1",
      LOG: "debug",
    };
    for (const [variable, text] of Object.entries(foreign)) process.env[`CLOUDFLARE_${variable}`] = text;
    t.after(() => {
      for (const variable of Object.keys(foreign)) delete process.env[`CLOUDFLARE_${variable}`];
    });
    const printed = ["debug", "info", "warn", "error"] as const;
    const mocks = printed.map((method) => t.mock.method(console, method, () => undefined));
    const { api, store } = await pair(t);
    await store.set(key, "00ff", noSignal());
    assert.equal(api.calls.length, 3);
    const { authorization, "x-auth-key": apiKey, "x-auth-email": email } = api.lastHeaders();
    assert.deepEqual([authorization, apiKey, email], [`Bearer ${TOKEN}`, undefined, undefined]);
    assert.deepEqual(
      mocks.map(({ mock }) => mock.callCount()),
      [0, 0, 0, 0],
      "and nothing is printed",
    );
  });

  test("without a subdomain the record is right below the zone", async (t) => {
    const { api, store } = await pair(t, { subdomain: "" });
    await store.set(key, "00ff", noSignal());
    assert.equal(api.zones[0]?.records[0]?.name, `${key}.example.com`);
  });

  test("costs three calls the first time, one the next, and none for the zone", async (t) => {
    const { api, store } = await pair(t);
    await store.set(key, "00", noSignal());
    assert.deepEqual(methods(api), ["GET zones", "GET dns_records", "POST dns_records"]);
    await store.set(key, "01", noSignal());
    assert.deepEqual(methods(api).slice(3), ["PATCH dns_records"]);
    const { content, ttl } = api.zones[0]!.records[0]!;
    assert.deepEqual({ content, ttl }, { content: "01", ttl: 60 });
    await store.set(storageKey("other"), "02", noSignal());
    assert.deepEqual(methods(api).slice(4), ["GET dns_records", "POST dns_records"]);
  });

  test("a record that somebody deleted is made again", async (t) => {
    const { api, store } = await pair(t);
    await store.set(key, "00", noSignal());
    api.zones[0]!.records.length = 0;
    await store.set(key, "01", noSignal());
    assert.deepEqual(await store.get(key, noSignal()), ["01"]);
    assert.equal(api.zones[0]!.records.length, 1);
  });

  test("looks for duplicates again after an hour", async (t) => {
    const api = await startFakeCloudflare(t);
    const clock = createFakeClock();
    const store = open(t, api, {}, clock);
    await store.set(key, "00", noSignal());
    await clock.advance(3_599_000);
    api.addRecord(name, "ff");
    await store.set(key, "01", noSignal());
    assert.equal(api.zones[0]!.records.length, 2);
    await clock.advance(1000);
    await store.set(key, "02", noSignal());
    assert.deepEqual(
      api.zones[0]!.records.map(({ content }) => content),
      ["02"],
    );
  });

  test("changes the newest of several records, removes the others and touches nothing else", async (t) => {
    const { api, store } = await pair(t);
    const old = api.addRecord(name, "aa");
    const newest = api.addRecord(name, "bb");
    const kept = [
      api.addRecord(name, "192.0.2.1", "A"),
      api.addRecord(`${storageKey("other")}.wg.example.com`, "cc"),
      api.addRecord("wg.example.com", "v=spf1 -all"),
    ];
    old.modified_on = "2020-01-01T00:00:00.000000Z";
    await store.set(key, "dd", noSignal());
    assert.deepEqual(
      api.zones[0]!.records.map(({ id }) => id),
      [newest.id, ...kept.map(({ id }) => id)],
    );
    assert.equal(newest.content, "dd");
  });

  test("is content when another daemon wrote the same or removed the duplicate at the same moment", async (t) => {
    const { api, store } = await pair(t);
    api.fault = ({ method }) => {
      if (method === "POST") api.addRecord(name, "00");
      return false;
    };
    await store.set(key, "00", noSignal());
    api.addRecord(name, "01");
    api.fault = ({ method }) => {
      if (method === "DELETE") api.zones[0]!.records.shift();
      return false;
    };
    await store.set(key, "02", noSignal());
    assert.deepEqual(await store.get(key, noSignal()), ["02"]);
  });
});

describe("cloudflare, reading", () => {
  test("gives every value, newest first, quoted and split ones joined", async (t) => {
    const { api, store } = await pair(t);
    const long = sealedValue(258);
    const times = ["2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.000003Z", "2026-01-01T00:00:00.000002Z"];
    const contents = ["00", `"${long.slice(0, 255)}" "${long.slice(255)}"`, '"ff"'];
    for (const [index, content] of contents.entries()) api.addRecord(name, content).modified_on = times[index]!;
    api.addRecord(name, "").modified_on = "2027-01-01T00:00:00Z";
    api.addRecord(`x${name}`, "elsewhere");
    assert.deepEqual(await store.get(key, noSignal()), [long, "ff", "00"]);
    const [value] = await Promise.all([store.get(key, noSignal()), store.get(storageKey(1), noSignal())]);
    assert.deepEqual(value, [long, "ff", "00"], "the same when read together");
  });

  test("a value that Cloudflare split is read in one piece", async (t) => {
    const { api, store } = await pair(t);
    const value = sealedValue(258);
    await store.set(key, value, noSignal());
    assert.match(api.zones[0]!.records[0]!.content, /^"[0-9a-f]{255}" "[0-9a-f]{3}"$/);
    assert.deepEqual(await store.get(key, noSignal()), [value]);
  });

  test("one key is asked for alone, several together by one call", async (t) => {
    const { api, store } = await pair(t);
    for (let index = 0; index < 9; index++) await store.set(storageKey(index), `0${index}`, noSignal());
    api.calls.length = 0;
    await store.get(storageKey(3), noSignal());
    assert.match(
      api.calls.join(),
      /^GET \/zones\/[0-9a-f]{32}\/dns_records\?type=TXT&name\.exact=[0-9a-f]{40}\.wg\.example\.com&per_page=100$/,
    );
    api.calls.length = 0;
    const looks = Array.from({ length: 9 }, (_, index) => store.get(storageKey(index), noSignal()));
    assert.deepEqual(
      await Promise.all(looks),
      Array.from({ length: 9 }, (_, index) => [`0${index}`]),
    );
    assert.match(
      api.calls.join(),
      /^GET \/zones\/[0-9a-f]{32}\/dns_records\?type=TXT&name\.endswith=\.wg\.example\.com&per_page=1000&page=1$/,
    );
    assert.deepEqual(await store.get(storageKey(3), noSignal()), ["03"], "and nothing of it is kept");
    assert.equal(api.calls.length, 2);
  });

  test("in a zone with thousands of records, whatever takes fewer calls", async (t) => {
    const { api, store } = await pair(t);
    for (let index = 0; index < 2500; index++) api.addRecord(`${storageKey(index)}.wg.example.com`, `v${index}`);
    const read = async (count: number) => {
      const first = api.calls.length;
      const values = await Promise.all(
        Array.from({ length: count }, (_, index) => store.get(storageKey(index), noSignal())),
      );
      assert.deepEqual(
        values,
        Array.from({ length: count }, (_, index) => [`v${index}`]),
      );
      return api.calls.length - first;
    };
    assert.equal(await read(8), 1 + 3, "the zone, three pages");
    assert.equal(await read(8), 3);
    assert.equal(await read(3), 3, "one for each key");
    for (let index = 0; index < 20_000; index++) api.addRecord(`${storageKey(`other ${index}`)}.wg.example.com`, "x");
    assert.equal(await read(8), 1 + 8, "a page that says how many there are, then one for each key");
    assert.equal(await read(8), 8);
  });

  test("one that gives up does not take the others with it", async (t) => {
    const { api, store } = await pair(t);
    await store.set(key, "00", noSignal());
    const controller = new AbortController();
    const reason = new Error("enough");
    api.fault = () => {
      controller.abort(reason);
      return false;
    };
    const [left, stayed] = await Promise.allSettled([
      store.get(storageKey(1), controller.signal),
      store.get(key, noSignal()),
    ]);
    assert.equal(left.status === "rejected" && left.reason, reason);
    assert.deepEqual(stayed.status === "fulfilled" && stayed.value, ["00"]);
  });
});

describe("cloudflare, the zone", () => {
  test("may be given as a name inside the real one", async (t) => {
    const api = await startFakeCloudflare(t, { zones: ["example.com", "lab.example.com"] });
    const inner = open(t, api, { zone: "a.b.lab.example.com" });
    await inner.set(key, "00", noSignal());
    assert.deepEqual(
      api.calls.filter((call) => call.startsWith("GET /zones?")).map((call) => call.match(/name=([^&]*)/)?.[1]),
      ["a.b.lab.example.com", "b.lab.example.com", "lab.example.com"],
    );
    assert.equal(api.zones[1]?.records[0]?.name, `${key}.wg.a.b.lab.example.com`);
    assert.deepEqual(await inner.get(key, noSignal()), ["00"]);
  });

  test("is looked up by one call for many that begin together, also when the first gives up", async (t) => {
    const { api, store } = await pair(t);
    const keys = Array.from({ length: 8 }, (_, index) => storageKey(index));
    await Promise.all(keys.map((one) => store.set(one, "00", noSignal())));
    assert.equal(api.calls.filter((call) => call.startsWith("GET /zones?")).length, 1);

    const other = open(t, api);
    const controller = new AbortController();
    const reason = new Error("enough");
    const first = assert.rejects(other.set(key, "00", controller.signal), reason);
    const second = other.set(key, "01", noSignal());
    await new Promise(setImmediate);
    controller.abort(reason);
    await first;
    await second;
    assert.deepEqual(await other.get(key, noSignal()), ["01"]);
  });

  test("is looked up again when the API does not know its id any more", async (t) => {
    const { api, store } = await pair(t);
    await store.set(key, "00", noSignal());
    // Removed from the account and added again: another id, no records.
    const [zone] = api.zones;
    zone!.id = newId();
    zone!.records.length = 0;
    assert.deepEqual(await store.get(key, noSignal()), []);
    zone!.id = newId();
    await store.set(key, "01", noSignal());
    zone!.id = newId();
    await store.set(key, "02", noSignal());
    assert.deepEqual(await store.get(key, noSignal()), ["02"]);
  });

  test("names are cleaned: case, dots at the ends, other alphabets", () => {
    const check = (zone: string, subdomain?: string) =>
      cloudflare.schema.safeParse({ zone, token: "t", ...(subdomain !== undefined && { subdomain }) });
    assert.equal(check("Example.COM.").data?.zone, "example.com");
    assert.equal(check("bücher.example").data?.zone, "xn--bcher-kva.example");
    assert.equal(check("example.com", ".WG.").data?.subdomain, "wg");
    assert.equal(check("example.com").data?.subdomain, "");
    assert.equal(check("example.com", "_wg.a").data?.subdomain, "_wg.a");
    for (const wrong of [
      "",
      ".",
      "a b",
      "a..b",
      "https://example.com",
      `${"a".repeat(64)}.com`,
      `${"abc.".repeat(60)}com`,
    ]) {
      assert.ok(!check(wrong).success, wrong);
    }
  });
});

describe("cloudflare and STUNMESH-go", () => {
  const { record_name, calls_set_new, call_set_existing, headers } = JSON.parse(
    readFileSync(fixture("cloudflare-calls.json"), "utf8"),
  );
  const [shared] = String(record_name).split(".");

  async function ask(api: FakeCloudflare, { method, path, body }: { method: string; path: string; body?: string }) {
    const zone = api.zones[0]!;
    const filled = String(path)
      .replace("/client/v4", "")
      .replace("ZONE_ID", zone.id)
      .replace("RECORD_ID", zone.records[0]?.id ?? "");
    const authorization = String(headers.Authorization).replace("TOKEN", TOKEN);
    const reply = await fetch(`${api.apiUrl}${filled}`, {
      method,
      headers: { ...headers, Authorization: authorization },
      ...(body !== undefined && { body }),
    });
    const answer = (await reply.json()) as { success: boolean; result: { content?: string }[] };
    assert.ok(answer.success, JSON.stringify(answer));
    return answer;
  }

  test("what it writes we read, a new record and a changed one", async (t) => {
    const { api, store } = await pair(t);
    for (const call of calls_set_new) await ask(api, call);
    const { content } = JSON.parse(calls_set_new[2].body);
    assert.deepEqual(await store.get(shared!, noSignal()), [content]);
    await ask(api, { ...call_set_existing, body: JSON.stringify({ content: "00ff" }) });
    assert.deepEqual(await store.get(shared!, noSignal()), ["00ff"]);
    assert.equal(api.zones[0]?.records.length, 1);
  });

  test("what we write it finds as the first record, bare and unchanged; we change its record in place", async (t) => {
    const { api, store } = await pair(t);
    for (const value of [sealedValue(214), sealedValue(255)]) {
      await store.set(shared!, value, noSignal());
      const found = await ask(api, calls_set_new[1]);
      assert.deepEqual(
        found.result.map(({ content }) => content),
        [value],
      );
    }
    await ask(api, call_set_existing);
    const later = open(t, api);
    await later.set(shared!, "0123", noSignal());
    assert.equal(api.zones[0]?.records.length, 1);
    assert.equal(api.zones[0]?.records[0]?.content, "0123");
  });

  test("its block in a configuration file works unchanged", () => {
    const file = parse(readFileSync(join(repository, "test/fixtures/stunmesh-go-config.yaml"), "utf8"));
    const { type, name: kind, ...options } = file.plugins["cf-builtin"];
    assert.deepEqual([type, kind], ["builtin", "cloudflare"]);
    assert.ok(cloudflare.schema.safeParse(options).success);
  });

  test("records that do not fit one string lose what STUNMESH-go does not need", () => {
    assert.equal(cloudflare.maxValueChars, 255);
  });
});

describe("cloudflare, read: dns", () => {
  test("reads by HTTPS what was written by the API", async (t) => {
    const { api, store: writer } = await pair(t);
    const resolver = await serve(t, (request, response) => {
      const asked = new URL(request.url ?? "", "http://fake").searchParams.get("name");
      const records = api.zones[0]!.records.filter((record) => record.name === asked);
      const Answer = records.map(({ content }) => ({ name: asked, type: 16, TTL: 60, data: `"${content}"` }));
      response.writeHead(200, { "content-type": "application/dns-json" });
      response.end(JSON.stringify({ Status: records.length > 0 ? 0 : 3, Answer }));
    });
    const store = open(t, api, { read: "dns", resolver: `${resolver.url}/dns-query` });
    assert.deepEqual(await store.get(key, noSignal()), []);
    await writer.set(key, "00ff", noSignal());
    const calls = api.calls.length;
    assert.deepEqual(await store.get(key, noSignal()), ["00ff"]);
    assert.equal(api.calls.length, calls, "no call of the API");
  });

  test("a resolver is an address or a URL, and only with read: dns", () => {
    const check = (options: object) =>
      cloudflare.schema.safeParse({ zone: "example.com", token: "t", ...options }).success;
    assert.ok(check({ read: "dns" }));
    assert.ok(check({ read: "dns", resolver: "https://cloudflare-dns.com/dns-query" }));
    assert.ok(check({ read: "dns", resolver: "192.0.2.1" }));
    assert.ok(!check({ resolver: "192.0.2.1" }));
    assert.ok(!check({ read: "dns", resolver: "dns.example.com" }));
    assert.ok(!check({ read: "both" }));
  });
});

function methods(api: FakeCloudflare): readonly string[] {
  return api.calls.map((call) =>
    call.replace(
      /^(\w+) \/(zones)(?:\/[0-9a-f]+\/(dns_records))?.*/,
      (_all, method, zones, records) => `${method} ${records ?? zones}`,
    ),
  );
}
