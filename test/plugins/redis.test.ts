/** The `redis` plugin: its options, its protocol, and servers that misbehave. A real server: test/lab/redis.test.ts. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, type TestContext, test } from "node:test";
import { errorCode } from "../../src/errors.ts";
import { redis } from "../../src/plugins/redis.ts";
import { parseRedisUrl } from "../../src/plugins/redis-options.ts";
import { createReplyParser, encodeCommand, type Reply } from "../../src/plugins/redis-protocol.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey, testStore } from "../conformance/store.ts";
import { createFakeClock, type FakeClock } from "../fakes/clock.ts";
import { type FakeRedis, startFakeRedis } from "../fakes/redis-server.ts";
import { pluginContext } from "./fixtures.ts";

const key = storageKey("key");

function open(t: TestContext, server: FakeRedis, clock: FakeClock | undefined = undefined): Store {
  const options = redis.schema.parse({ url: server.url });
  const store = redis.open(options, clock ? { ...pluginContext, clock } : pluginContext);
  t.after(() => store.close?.());
  return store;
}

testStore("redis, a fake server", { open: async (t) => open(t, await startFakeRedis(t)) });

describe("redis options", () => {
  test("parseRedisUrl takes user, password, port and database", () => {
    const plain = { host: "h", port: 6379, isTls: false, username: undefined, password: undefined, database: 0 };
    const cases = [
      ["redis://h", plain],
      ["redis://h/", plain],
      ["redis://:p%40ss@h:1234/7", { ...plain, port: 1234, password: "p@ss", database: 7 }],
      ["rediss://mesh:secret@h", { ...plain, isTls: true, username: "mesh", password: "secret" }],
      ["redis://[2001:db8::7]:1", { ...plain, host: "2001:db8::7", port: 1 }],
      ...[
        "http://h",
        "redis:h",
        "h:6379",
        "redis://",
        "redis://h/x",
        "redis://h?db=1",
        "redis://:%@h",
        "redis://h:99999",
        "",
      ].map((text) => [text, undefined] as const),
    ] as const;
    for (const [text, address] of cases) assert.deepEqual(parseRedisUrl(text), address, text);
  });

  test("a password beside the URL counts, durations have a range, and errors do not show the URL", () => {
    const { address, expirationMs } = redis.schema.parse({
      url: "redis://a:b@h",
      username: "mesh",
      password: 1234,
      expiration: "1h30m",
    });
    assert.deepEqual([address.username, address.password, expirationMs], ["mesh", "1234", 5_400_000]);
    assert.equal(redis.schema.parse({ url: "redis://h" }).expirationMs, 86_400_000);
    for (const expiration of ["59m", "", "24", "-1h", "8785h", "1d"]) {
      assert.equal(redis.schema.safeParse({ url: "redis://h", expiration }).success, false, expiration);
    }
    const { error } = redis.schema.safeParse({ url: "http://:hidden-password@h" });
    assert.ok(error && !JSON.stringify(error.issues).includes("hidden-password"));
  });
});

describe("redis protocol", () => {
  const bytes = Buffer.from(
    "+OK\r\n-ERR no\r\n:-7\r\n$5\r\na\r\nb\r\r\n$-1\r\n*3\r\n$1\r\nx\r\n*-1\r\n*1\r\n:1\r\n$0\r\n\r\n",
  );
  const replies = [
    "OK",
    { error: "ERR no" },
    -7,
    Buffer.from("a\r\nb\r"),
    null,
    [Buffer.from("x"), null, [1]],
    Buffer.of(),
  ];

  test("replies come out the same however the bytes are cut", () => {
    for (let size = 1; size <= bytes.length; size++) {
      const parse = createReplyParser();
      const found: Reply[] = [];
      for (let at = 0; at < bytes.length; at += size) found.push(...parse(bytes.subarray(at, at + size)));
      assert.deepEqual(found, replies);
    }
  });

  test("what no server sends is STORE_REPLY_INVALID, before it takes memory", () => {
    const wrong = [
      "HTTP/1.1 400 Bad Request\r\n",
      "H",
      ":x\r\n",
      ":\r\n",
      "$100000\r\n",
      "$-2\r\n",
      "$1\r\nabc",
      "*65\r\n",
      "*-2\r\n",
      "*1\r\n*1\r\n*1\r\n*1\r\n",
      `+${"x".repeat(9000)}`,
      `+${"x".repeat(9000)}\r\n`,
    ];
    for (const text of wrong) {
      assert.throws(
        () => createReplyParser()(Buffer.from(text)),
        { code: "STORE_REPLY_INVALID" },
        JSON.stringify(text),
      );
    }
  });

  test("lists in lists have together as many items and bytes as one reply may have", () => {
    const eight = `*8\r\n${":1\r\n".repeat(8)}`;
    // 7 lists in a list: 7 + 7 x 8 items are allowed, with another list they are 72.
    assert.equal(createReplyParser()(Buffer.from(`*7\r\n${eight.repeat(7)}`)).length, 1);
    const value = `$40000\r\n${"x".repeat(40_000)}\r\n`;
    assert.equal(createReplyParser()(Buffer.from(`*2\r\n${value.repeat(2)}`.repeat(2))).length, 2);
    for (const text of [
      `*8\r\n${eight.repeat(8)}`,
      `*3\r\n${value.repeat(3)}`,
      `*1\r\n*3\r\n${value.repeat(2)}$40000\r\n`,
    ]) {
      for (const size of [text.length, 512, 7]) {
        const parse = createReplyParser();
        assert.throws(
          () => {
            for (let at = 0; at < text.length; at += size) parse(Buffer.from(text.slice(at, at + size)));
          },
          { code: "STORE_REPLY_INVALID" },
        );
      }
    }
  });

  test("a line ends with CR and LF, also when they come apart, and with nothing else", () => {
    const parse = createReplyParser();
    assert.deepEqual(parse(Buffer.from("+OK\r")), []);
    assert.deepEqual(parse(Buffer.from("\n:1\r\n")), ["OK", 1]);
    for (const text of ["+OK\n", "\r\n", "+\n"]) {
      assert.throws(
        () => createReplyParser()(Buffer.from(text)),
        { code: "STORE_REPLY_INVALID" },
        JSON.stringify(text),
      );
    }
  });

  test("20,000 mutations of replies end in replies or in STORE_REPLY_INVALID", () => {
    let refused = 0;
    for (let round = 0; round < 20_000; round++) {
      const mutated = Buffer.from(bytes);
      for (let count = randomInt(1, 5); count > 0; count--) mutated[randomInt(mutated.length)] = randomInt(256);
      try {
        createReplyParser()(mutated);
      } catch (error) {
        refused++;
        assert.equal(errorCode(error), "STORE_REPLY_INVALID", String(error));
      }
    }
    assert.ok(refused > 5000);
  });

  test("encodeCommand counts bytes, not characters", () => {
    assert.equal(encodeCommand(["SET", "grüße"]).toString(), "*2\r\n$3\r\nSET\r\n$7\r\ngrüße\r\n");
  });
});

describe("redis, servers that misbehave", () => {
  const answers = {
    "STORE_REPLY_INVALID: the server's reply makes no sense": "HTTP/1.1 400 Bad Request\r\n\r\n",
    "STORE_REPLY_INVALID: the server returned no value": "$-1\r\n",
    "STORE_REPLY_INVALID: the server's reply makes no sense: a value of more than 80 KiB": `$10000000\r\n${"x".repeat(100_000)}`,
    "STORE_UNAVAILABLE: the server is starting": "-LOADING Redis is loading the dataset in memory\r\n",
    "STORE_UNAVAILABLE: the server is a read-only replica":
      "-READONLY You can't write against a read only replica.\r\n",
    "STORE_UNAVAILABLE: the server is part of a Redis cluster": "-MOVED 3999 127.0.0.1:6381\r\n",
    "STORE_UNAVAILABLE: ERR max number of clients reached": "-ERR max number of clients reached\r\n",
    "STORE_FAILED: ERR whatever": "-ERR whatever\r\n",
  };
  for (const [says, answer] of Object.entries(answers)) {
    test(`get throws ${says}`, async (t) => {
      const server = await startFakeRedis(t, {
        answer: ({ command }) => (command === "GETRANGE" ? answer : undefined),
      });
      await assert.rejects(open(t, server).get(key, noSignal()), (error: Error) => {
        const [code, why = ""] = says.split(/: (.*)/s);
        assert.equal(errorCode(error), code);
        assert.ok(error.message.startsWith(`Cannot get from plugin "mine": ${server.url}: ${why}`), error.message);
        return true;
      });
    });
  }

  test("a set that was refused inside the transaction fails, and errors hide value and password", async (t) => {
    const value = sealedValue(40);
    const server = await startFakeRedis(t, {
      answer: ({ command, args }) =>
        command === "EXEC"
          ? `*2\r\n-OOM of ${value}\r\n:0\r\n`
          : command === "AUTH"
            ? `-ERR ${args[0]}\r\n`
            : undefined,
    });
    await assert.rejects(open(t, server).set(key, value, noSignal()), {
      code: "STORE_UNAVAILABLE",
      message: /no memory left \(OOM of \[hidden\]\)$/,
    });
    const options = redis.schema.parse({ url: server.url, password: "a-password-of-the-test" });
    await assert.rejects(redis.open(options, pluginContext).get(key, noSignal()), { message: /: ERR \[hidden\]$/ });
    for (const reply of ["*-1\r\n", "+OK\r\n", "*0\r\n"]) {
      const odd = await startFakeRedis(t, { answer: ({ command }) => (command === "EXEC" ? reply : undefined) });
      await assert.rejects(open(t, odd).set(key, value, noSignal()), { code: "STORE_REPLY_INVALID" });
    }
  });

  test("a call that is given up leaves the others their replies", async (t) => {
    const server = await startFakeRedis(t);
    const store = open(t, server);
    const values = Array.from({ length: 20 }, () => sealedValue());
    await Promise.all(values.map((value, index) => store.set(storageKey(index), value, noSignal())));
    const reason = new Error("the daemon stops");
    const outcomes = await Promise.allSettled(
      values.map((_, index) => {
        const controller = new AbortController();
        const call = store.get(storageKey(index), controller.signal);
        if (index % 2 === 1) controller.abort(reason);
        return call;
      }),
    );
    outcomes.forEach((outcome, index) => {
      if (index % 2 === 1) assert.deepEqual(outcome, { status: "rejected", reason });
      else assert.deepEqual(outcome, { status: "fulfilled", value: [values[index]] });
    });
    assert.equal(server.connections, 1);
  });

  test("a connection on which nothing came for 5 s is given up together with the call", async (t) => {
    let isSilent = false;
    const server = await startFakeRedis(t, { answer: () => (isSilent ? "" : undefined) });
    const clock = createFakeClock();
    const store = open(t, server, clock);
    assert.deepEqual(await store.get(key, noSignal()), []);
    isSilent = true;
    for (const waitedMs of [4999, 5000]) {
      const controller = new AbortController();
      const call = assert.rejects(store.get(key, controller.signal), /given up/);
      await clock.advance(waitedMs);
      controller.abort(new Error("given up"));
      await call;
    }
    isSilent = false;
    assert.deepEqual(await store.get(key, noSignal()), []);
    assert.equal(server.connections, 2);
  });

  test("bytes of a reply that never ends are no sign of life", async (t) => {
    // A value begins; the second call is answered by one byte of it.
    const answers = ["$60000\r\n", "x"];
    const server = await startFakeRedis(t, {
      answer: ({ command }) => (command === "GETRANGE" ? answers.shift() : undefined),
    });
    const clock = createFakeClock();
    const store = open(t, server, clock);
    const controller = new AbortController();
    const first = assert.rejects(store.get(key, controller.signal), /given up/);
    await until(() => answers.length === 1);
    await clock.advance(4000);
    const second = store.get(key, noSignal());
    await until(() => answers.length === 0);
    await clock.advance(1000);
    controller.abort(new Error("given up"));
    await first;
    // Sent again, on a connection that works.
    assert.deepEqual(await second, []);
    assert.equal(server.connections, 2);
  });

  test("a slow reply is waited for by the calls behind it", async (t) => {
    let isSlow = true;
    const server = await startFakeRedis(t, {
      answer: ({ command }) => (command === "GETRANGE" && isSlow ? "" : undefined),
    });
    const clock = createFakeClock();
    const store = open(t, server, clock);
    const controller = new AbortController();
    const call = assert.rejects(store.get(key, controller.signal), /given up/);
    await until(() => server.commands.includes("GETRANGE"));
    await clock.advance(4999);
    controller.abort(new Error("given up"));
    await call;
    isSlow = false;
    assert.equal(server.open, 1);
  });

  test("a connection that the server ends in mid-call is opened once more, and only once", async (t) => {
    let ends = 0;
    const server = await startFakeRedis(t, {
      answer: ({ command }) => (command === "GETRANGE" && ends-- > 0 ? "close" : undefined),
    });
    const store = open(t, server);
    assert.deepEqual(await store.get(key, noSignal()), []);
    ends = 1;
    assert.deepEqual(await store.get(key, noSignal()), []);
    assert.equal(server.connections, 2);
    ends = 2;
    await assert.rejects(store.get(key, noSignal()), { code: "STORE_UNAVAILABLE", message: /closed the connection/ });
    assert.equal(server.connections, 3);
  });

  test("a closed store opens no connection any more", async (t) => {
    const server = await startFakeRedis(t);
    const store = open(t, server);
    await store.close?.();
    await assert.rejects(store.get(key, noSignal()), { code: "STORE_UNAVAILABLE", message: /the store is closed/ });
    assert.equal(server.connections, 0);
  });
});

describe("redis watch", { timeout: 120_000 }, () => {
  test("asks a silent server after 30 s and connects again when it does not answer within 10 s", async (t) => {
    let isDeaf = false;
    const answer = ({ command }: { readonly command: string }) => (isDeaf && command === "PING" ? "" : undefined);
    const server = await startFakeRedis(t, { answer });
    const clock = createFakeClock();
    const store = open(t, server, clock);
    const heard: string[] = [];
    const watch = store.watch?.([key], { onChange: (changed) => heard.push(changed), onError: assert.fail });
    t.after(() => watch?.close());
    await until(() => server.subscriptions === 1);
    await clock.advance(30_000);
    await until(() => server.commands.includes("PING"));
    // Comes by the same connection, after the answer to PING.
    await store.set(key, sealedValue(), noSignal());
    await until(() => heard.length === 1);
    isDeaf = true;
    await clock.advance(40_000);
    await until(() => server.commands.filter((command) => command === "PING").length === 2);
    assert.equal(server.subscriptions, 1);
    await clock.advance(10_000);
    await until(() => server.subscriptions === 0);
    await clock.advance(1000);
    await until(() => server.subscriptions === 1 && heard.length === 2);
    assert.deepEqual(heard, [key, key]);
  });

  test("a thousand keys are one connection", async (t) => {
    const server = await startFakeRedis(t);
    const store = open(t, server);
    const keys = Array.from({ length: 1000 }, (_, index) => storageKey(index));
    const heard: string[] = [];
    const watch = store.watch?.(keys, { onChange: (changed) => heard.push(changed), onError: assert.fail });
    t.after(() => watch?.close());
    await until(() => server.subscriptions === 1000);
    assert.equal(server.connections, 1);
    await store.set(storageKey(999), sealedValue(), noSignal());
    await until(() => heard.length === 1);
    assert.deepEqual(heard, [storageKey(999)]);
  });

  test("is closed before it is connected", async (t) => {
    const server = await startFakeRedis(t);
    open(t, server).watch?.([key], { onChange: assert.fail, onError: assert.fail }).close();
    assert.deepEqual(await open(t, server).get(key, noSignal()), []);
    await until(() => server.open === 1);
    assert.equal(server.subscriptions, 0);
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}
