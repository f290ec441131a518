import assert from "node:assert/strict";
import { getEventListeners, once } from "node:events";
import { readFileSync } from "node:fs";
import type { RequestListener } from "node:http";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { gzipSync } from "node:zlib";
import { systemClock } from "../../src/clock.ts";
import { describeError, isAbort } from "../../src/errors.ts";
import { type HttpClient, type HttpRequest, openHttpClient } from "../../src/plugins/http-client.ts";
import { readRetryAfter } from "../../src/plugins/retry-after.ts";
import { noSignal } from "../conformance/store.ts";
import { serve, serveProxy } from "../fakes/http-server.ts";
import { fixture } from "./fixtures.ts";

const TOKEN = "token-0123456789";
const action = 'get from plugin "mine"';
const tls = (name: string) => ({ key: pem(`${name}.key`), cert: pem(`${name}.pem`) });

function pem(name: string): string {
  return readFileSync(join(fixture("tls"), name), "utf8");
}

function open(t: TestContext, options: Partial<Parameters<typeof openHttpClient>[0]> = {}): HttpClient {
  const client = openHttpClient({ clock: systemClock, secrets: [TOKEN], env: {}, ...options });
  t.after(() => client.close());
  return client;
}

function request(url: string, more: Partial<HttpRequest> = {}): HttpRequest {
  return { url: new URL(url), signal: noSignal(), action, ...more };
}

/** A client and a server that answers by `listener`. */
async function pair(t: TestContext, listener: RequestListener) {
  const server = await serve(t, listener);
  return { server, client: open(t) };
}

describe("openHttpClient()", () => {
  test("sends method, header and body, and gives status, header and text", async (t) => {
    const { server, client } = await pair(t, async (got, response) => {
      const body = Buffer.concat(await got.toArray()).toString();
      response.writeHead(201, { etag: '"1"' }).end(`${got.method} ${got.url} ${body} ${got.headers["content-length"]}`);
    });
    const reply = await client.send(
      request(`${server.url}/a?b=c`, { method: "PUT", body: "grüße", headers: { authorization: `Bearer ${TOKEN}` } }),
    );
    assert.deepEqual([reply.status, reply.headers.etag, reply.text], [201, '"1"', "PUT /a?b=c grüße 7"]);
    const { authorization, "user-agent": agent, "accept-encoding": encoding } = server.lastHeaders();
    assert.deepEqual([authorization, agent, encoding], [`Bearer ${TOKEN}`, "stunmesh-ts", "identity"]);
  });

  test("sends the user and password of a URL, and shows neither", async (t) => {
    const { server, client } = await pair(t, (_got, response) => response.writeHead(401).end());
    const url = server.url.replace("http://", "http://me:pass%20word@");
    await assert.rejects(client.send(request(url)), (error) => {
      assert.equal(
        describeError(error),
        `Cannot ${action}: "${server.url}": it does not accept the token, or wants one (status 401)`,
      );
      return true;
    });
    assert.equal(server.lastHeaders().authorization, `Basic ${Buffer.from("me:pass word").toString("base64")}`);
  });

  test("keeps its connection, and takes another one when the service has closed it", async (t) => {
    const sockets = new Set<Socket>();
    const { server, client } = await pair(t, (got, response) => {
      sockets.add(got.socket);
      response.end("x");
    });
    for (let round = 0; round < 5; round++) await client.send(request(server.url));
    assert.equal(server.connections, 1);
    // Without a word to the client, as after a timeout of the service's own.
    for (const socket of sockets) socket.destroy();
    const reply = await client.send(request(server.url, { method: "PUT", body: "x" }));
    assert.equal(reply.text, "x");
    assert.equal(server.connections, 2);
  });

  test("asks again on another connection when the kept one breaks as it is used", async (t) => {
    let isBreaking = false;
    const { server, client } = await pair(t, (got, response) => {
      if (isBreaking) {
        isBreaking = false;
        got.socket.destroy();
      } else response.end("x");
    });
    await client.send(request(server.url));
    isBreaking = true;
    assert.equal((await client.send(request(server.url))).text, "x");
    assert.equal(server.connections, 2);
  });

  test("does not ask again when a new connection breaks", async (t) => {
    const { server, client } = await pair(t, (got) => got.socket.destroy());
    await assert.rejects(client.send(request(server.url)), { code: "STORE_UNAVAILABLE", message: /broke off/ });
    assert.equal(server.requests.length, 1);
  });

  test("rejects with the reason of its signal, whatever it waits for, and lets go of it", async (t) => {
    const silent = createServer();
    const proxy = await serveProxy(t, { status: 0 });
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const held = new Set<Socket>();
    silent.on("connection", (socket) => held.add(socket));
    t.after(() => {
      for (const socket of held) socket.destroy();
      silent.close();
    });
    const address = silent.address();
    assert.ok(address && typeof address === "object");
    const server = await serve(t, (_got, response) => {
      response.writeHead(200, { "content-length": 10 }).write("half");
    });
    const waits: Readonly<Record<string, readonly [string, NodeJS.ProcessEnv]>> = {
      "an answer": [`http://127.0.0.1:${address.port}`, {}],
      "a TLS handshake": [`https://127.0.0.1:${address.port}`, {}],
      "the rest of an answer": [server.url, {}],
      "a tunnel": ["https://store.test", { https_proxy: proxy.url }],
    };
    for (const [what, [url, env]] of Object.entries(waits)) {
      const client = open(t, { env });
      const controller = new AbortController();
      const reason = new Error(`no more waiting for ${what}`);
      const rejected = assert.rejects(client.send(request(url, { signal: controller.signal })), reason);
      for (let turn = 0; turn < 50; turn++) await setImmediate();
      controller.abort(reason);
      await rejected;
      await assert.rejects(client.send(request(url, { signal: controller.signal })), reason);
    }
    const { signal } = new AbortController();
    const { server: other, client } = await pair(t, (_got, response) => response.end("x"));
    for (let round = 0; round < 20; round++) await client.send(request(other.url, { signal }));
    await setImmediate();
    assert.deepEqual(getEventListeners(signal, "abort"), []);
  });

  test("reads no more than it is told", async (t) => {
    let sent = 0;
    const { server, client } = await pair(t, (_got, response) => {
      const chunk = Buffer.alloc(64 * 1024, "x");
      const write = () => {
        while (sent < 10 * 1024 * 1024 && !response.destroyed) {
          sent += chunk.length;
          if (!response.write(chunk)) return;
        }
        response.end();
      };
      response.on("drain", write);
      write();
    });
    await assert.rejects(client.send(request(server.url)), {
      code: "STORE_REPLY_INVALID",
      message: `Cannot ${action}: "${server.url}": its answer has more than 64 KiB`,
    });
    assert.ok(sent < 10 * 1024 * 1024, `${sent} bytes were sent`);
  });

  test("refuses answers that are cut short, encoded, no text, or not HTTP", async (t) => {
    const cases: readonly [RequestListener, string, RegExp][] = [
      [
        (_got, response) => {
          response.writeHead(200, { "content-length": 100 }).write("short");
          response.socket?.end();
        },
        "STORE_UNAVAILABLE",
        /broke off/,
      ],
      [
        (_got, response) => response.writeHead(200, { "content-encoding": "br" }).end("x"),
        "STORE_REPLY_INVALID",
        /encoded as "br"/,
      ],
      // 50 MB of nothing in 50 KB: it is refused by its header, and never unpacked.
      [
        (_got, response) =>
          response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(Buffer.alloc(50 * 1024 * 1024))),
        "STORE_REPLY_INVALID",
        /encoded as "gzip"/,
      ],
      [(_got, response) => response.end(Buffer.from([0xff, 0xfe])), "STORE_REPLY_INVALID", /not UTF-8/],
      [(_got, response) => response.socket?.end("SSH-2.0-OpenSSH_9.2\r\n"), "STORE_UNAVAILABLE", /answer in HTTP/],
      [
        (_got, response) => response.socket?.end(`HTTP/1.1 200 OK\r\nx: ${"y".repeat(20_000)}\r\n\r\n`),
        "STORE_UNAVAILABLE",
        /header of its answer is too long/,
      ],
    ];
    for (const [listener, code, message] of cases) {
      const { server, client } = await pair(t, listener);
      await assert.rejects(client.send(request(server.url)), { code, message });
    }
  });

  test("says what each status means, and when to come back", async (t) => {
    const cases: readonly [number, string, RegExp][] = [
      [301, "STORE_FAILED", /refuses the request \(status 301\)/],
      [400, "STORE_FAILED", /refuses the request/],
      [401, "STORE_UNAVAILABLE", /does not accept the token/],
      [403, "STORE_UNAVAILABLE", /lacks the right/],
      [404, "STORE_FAILED", /is the URL complete/],
      [405, "STORE_FAILED", /is the URL complete/],
      [408, "STORE_UNAVAILABLE", /refuses the request/],
      [413, "STORE_FAILED", /too long/],
      [429, "STORE_UNAVAILABLE", /too many requests/],
      [500, "STORE_UNAVAILABLE", /failure of its own/],
      [501, "STORE_FAILED", /failure of its own/],
      [503, "STORE_UNAVAILABLE", /failure of its own/],
    ];
    const { server, client } = await pair(t, (got, response) => {
      response.writeHead(Number(got.url?.slice(1)), { "content-type": "text/plain", "retry-after": "7" });
      response.end(`because of ${got.headers.authorization}\n and ${"ab".repeat(40)}`);
    });
    for (const [status, code, message] of cases) {
      const headers = { authorization: `Bearer ${TOKEN}` };
      await assert.rejects(client.send(request(`${server.url}/${status}`, { headers })), (error) => {
        const text = describeError(error);
        assert.ok(error instanceof Error && "code" in error);
        assert.equal(error.code, code, String(status));
        if (status !== 301) assert.match(text, message);
        assert.match(text, /because of Bearer \[hidden\] and \[hidden\]\)$/);
        assert.ok(!text.includes(TOKEN));
        assert.equal(readRetryAfter(error), 7000);
        return true;
      });
    }
    const reply = await client.send({ ...request(`${server.url}/404`), expect: [404] });
    assert.equal(reply.status, 404);
  });

  test("shows no page for people, and only the beginning of long words", async (t) => {
    const { server, client } = await pair(t, (got, response) => {
      response.writeHead(500, { "content-type": got.url === "/page" ? "text/html" : "application/problem+json" });
      response.end(`<p>${"no ".repeat(10_000)}`);
    });
    await assert.rejects(client.send(request(`${server.url}/page`)), { message: /own \(status 500\)$/ });
    await assert.rejects(client.send(request(server.url)), (error) => describeError(error).length < 400);
  });

  test("follows at most two redirects, on the same host only, and never turns a PUT into a GET", async (t) => {
    const other = await serve(t, (_got, response) => response.end("other"));
    const { server, client } = await pair(t, async (got, response) => {
      const [, status, ...rest] = got.url?.split("/") ?? [];
      if (status === "end") return response.end(`${got.method} ${Buffer.concat(await got.toArray())}`);
      const location = rest.join("/").replace("OTHER", other.url).replace("SECURE", `https://127.0.0.1:${server.port}`);
      return response
        .writeHead(Number(status), { location: location.startsWith("http") ? location : `/${location}` })
        .end();
    });
    const send = (path: string, more: Partial<HttpRequest> = {}) => client.send(request(server.url + path, more));
    assert.equal((await send("/302/end")).text, "GET ");
    assert.equal((await send("/308/301/end")).text, "GET ");
    assert.equal((await send("/307/308/end", { method: "PUT", body: "b" })).text, "PUT b");
    const says = (origin: string) => new RegExp(`says the service is at "${origin}": write that in the configuration`);
    const unavailable = (origin: string) => ({ code: "STORE_UNAVAILABLE", message: says(origin) });
    await assert.rejects(send("/302/302/302/end"), unavailable(server.url));
    await assert.rejects(send("/303/end", { method: "PUT", body: "b" }), unavailable(server.url));
    await assert.rejects(send("/302/OTHER"), unavailable(other.url));
    await assert.rejects(send("/302/SECURE"), unavailable(`https://127.0.0.1:${server.port}`));
    await assert.rejects(send("/302/http://"), unavailable("another place"));
    assert.equal(other.requests.length, 0);
  });

  test("explains connections that fail", async (t) => {
    const gone = await serve(t, () => undefined);
    await gone.stop();
    const plain = await serve(t, (_got, response) => response.end());
    const cases: readonly [string, RegExp][] = [
      [gone.url, /: "http:\/\/127\.0\.0\.1:\d+": the connection is refused: nothing listens there \(ECONNREFUSED\)$/],
      [`http://${"x".repeat(64)}.test`, /there is no host of this name \(ENOTFOUND\)$/],
      [plain.url.replace("http:", "https:"), /does not speak TLS there: http:\/\/ instead of https:\/\//],
    ];
    for (const [url, message] of cases) {
      await assert.rejects(open(t).send(request(url)), { code: "STORE_UNAVAILABLE", message });
    }
  });

  test("trusts a certificate that is right, and says what is wrong with another", async (t) => {
    const ca = pem("ca.pem");
    const good = await serve(t, (_got, response) => response.end("x"), { tls: tls("good") });
    assert.equal((await open(t, { ca }).send(request(good.url))).text, "x");
    const refused = async (url: string, message: RegExp, options = { ca }) => {
      await assert.rejects(open(t, options).send(request(url)), { code: "STORE_UNAVAILABLE", message });
    };
    await refused(good.url.replace("127.0.0.1", "localhost"), /certificate is for another name/);
    await refused(good.url, /an authority this host does not know \(NODE_EXTRA_CA_CERTS=FILE/, {} as { ca: string });
    const expired = await serve(t, (_got, response) => response.end("x"), { tls: tls("expired") });
    await refused(expired.url, /has expired \(or this host's clock is wrong\)/);
    const early = await serve(t, (_got, response) => response.end("x"), { tls: tls("early") });
    await refused(early.url, /not valid yet: this host's clock is probably wrong/);
    for (const server of [expired, early]) assert.equal(server.requests.length, 0);
  });

  test("gives an answer line by line while it comes, and ends with its signal", async (t) => {
    let send: (text: string) => void = assert.fail;
    const { server, client } = await pair(t, (_got, response) => {
      response.writeHead(200);
      send = (text) => response.write(text);
      send("one\ntw");
    });
    const controller = new AbortController();
    const { lines } = await client.open({ ...request(server.url, { signal: controller.signal }), maxLineBytes: 100 });
    assert.equal((await lines.next()).value, "one");
    send("o\n");
    assert.equal((await lines.next()).value, "two");
    const next = lines.next();
    controller.abort();
    await assert.rejects(next, isAbort);
  });

  test("an answer that is read line by line fails when the service goes away or says no", async (t) => {
    const { server, client } = await pair(t, (got, response) => {
      if (got.url === "/no") response.writeHead(503, { "retry-after": "3" }).end();
      else response.write("one\n");
    });
    await assert.rejects(client.open({ ...request(`${server.url}/no`), maxLineBytes: 100 }), (error) => {
      return readRetryAfter(error) === 3000;
    });
    const { lines } = await client.open({ ...request(server.url), maxLineBytes: 100 });
    assert.equal((await lines.next()).value, "one");
    await server.stop();
    await assert.rejects(lines.next(), { code: "STORE_UNAVAILABLE", message: /^Cannot get from.*broke off/ });
  });

  test("is of no use after it was closed, and leaves no connection", async (t) => {
    const { server, client } = await pair(t, (got, response) => {
      if (got.url !== "/hang") response.end("x");
    });
    await client.send(request(server.url));
    const hanging = assert.rejects(client.send(request(`${server.url}/hang`)), { code: "STORE_UNAVAILABLE" });
    while (server.requests.length < 2) await setImmediate();
    client.close();
    await hanging;
    await assert.rejects(client.send(request(server.url)), { code: "STORE_UNAVAILABLE", message: /is closed/ });
    assert.equal(server.requests.length, 2);
  });
});

describe("openHttpClient() with a proxy", () => {
  test("asks the proxy for the whole URL of http://, with the proxy's own credentials", async (t) => {
    const proxy = await serveProxy(t);
    const env = { HTTP_PROXY: proxy.url.replace("//", "//me:secret@") };
    const reply = await open(t, { env }).send(request("http://user:pw@store.test/a?b=c"));
    assert.equal(reply.text, "by proxy");
    assert.deepEqual(proxy.requests, ["GET http://store.test/a?b=c"]);
    assert.equal(proxy.authorization(), `Basic ${Buffer.from("me:secret").toString("base64")}`);
  });

  test("opens a tunnel for https:// and checks the certificate of the service, keeping the tunnel", async (t) => {
    const proxy = await serveProxy(t);
    const server = await serve(t, (got, response) => response.end(`for ${got.headers.host}`), { tls: tls("good") });
    const client = open(t, { env: { HTTPS_PROXY: proxy.url }, ca: pem("ca.pem") });
    for (let round = 0; round < 3; round++) {
      const reply = await client.send(request(`https://store.test:${server.port}/`));
      assert.equal(reply.text, `for store.test:${server.port}`);
    }
    assert.deepEqual(proxy.requests, [`CONNECT store.test:${server.port}`]);
    await assert.rejects(client.send(request(`https://other.test:${server.port}/`)), /certificate is for another name/);
  });

  test("goes to this host and to what NO_PROXY names directly", async (t) => {
    const proxy = await serveProxy(t);
    const server = await serve(t, (_got, response) => response.end("direct"));
    const env = { HTTP_PROXY: proxy.url, NO_PROXY: "store.test" };
    assert.equal((await open(t, { env }).send(request(server.url))).text, "direct");
    assert.deepEqual(proxy.requests, []);
  });

  test("says when the proxy is the trouble, without its password", async (t) => {
    const refusing = await serveProxy(t, { status: 403 });
    const wanting = await serveProxy(t, { status: 407 });
    const cases: readonly [string, RegExp][] = [
      [refusing.url, /the proxy "http:\/\/127\.0\.0\.1:\d+" refuses a tunnel: status 403$/],
      [
        wanting.url,
        /refuses a tunnel: it wants a user and a password \(http:\/\/user:password@host:port in HTTPS_PROXY\)$/,
      ],
      ["http://127.0.0.1:9", /the proxy "http:\/\/127\.0\.0\.1:9" cannot be reached: ECONNREFUSED/],
      ["socks5://127.0.0.1:9", /HTTPS_PROXY holds a proxy of the kind "socks5", wanted http or https$/],
      ["http://", /HTTPS_PROXY holds no address of a proxy/],
    ];
    for (const [proxy, message] of cases) {
      const env = { HTTPS_PROXY: proxy.replace("//127", "//me:secret123@127") };
      await assert.rejects(open(t, { env }).send(request("https://store.test")), (error) => {
        assert.ok(error instanceof Error && "code" in error);
        assert.equal(error.code, "STORE_UNAVAILABLE");
        assert.match(error.message, message);
        assert.doesNotMatch(describeError(error), /secret123/);
        return true;
      });
    }
  });
});
