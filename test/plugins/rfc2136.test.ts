/** The `rfc2136` plugin: its codec, its signatures, and servers that misbehave. A real server: test/lab/rfc2136.test.ts. */
import assert from "node:assert/strict";
import { createHmac, randomBytes, randomInt } from "node:crypto";
import { describe, test } from "node:test";
import { type Clock, systemClock } from "../../src/clock.ts";
import { errorCode } from "../../src/errors.ts";
import { rfc2136 } from "../../src/plugins/rfc2136.ts";
import {
  decodeMessage,
  decodeTxt,
  encodeTxt,
  encodeTxtQuery,
  encodeTxtUpdate,
  recordClass,
  recordType,
  uint16,
  uint32,
} from "../../src/plugins/rfc2136-message.ts";
import { DnsFormatError, decodeName, encodeName, parseDnsName } from "../../src/plugins/rfc2136-name.ts";
import { findTsig, signMessage, type TsigKey, whyNotGenuine } from "../../src/plugins/rfc2136-tsig.ts";
import type { Store } from "../../src/plugins/types.ts";
import { noSignal, sealedValue, storageKey } from "../conformance/store.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { startFakeDns } from "../fakes/dns-server.ts";

const key = storageKey("key");
const recordName = `${key}.mesh.example.net`;
const secret = randomBytes(32);
const tsigKey: TsigKey = { name: "mesh-key", algorithm: "hmac-sha256", secret };

function open(server: string, options: Readonly<Record<string, unknown>> = {}, clock: Clock = systemClock): Store {
  const parsed = rfc2136.schema.parse({
    server,
    zone: "example.net",
    subdomain: "mesh",
    key_name: "mesh-key",
    key_secret: secret.toString("base64"),
    ...options,
  });
  return rfc2136.open(parsed, { name: "mine", clock });
}

interface Reply {
  readonly rcode?: number;
  readonly flags?: number;
  readonly records?: readonly Buffer[];
}

/** A reply to `request` that repeats its question. */
function replyTo(request: Buffer, { rcode = 0, flags = 0, records = [] }: Reply = {}): Buffer {
  const [question] = decodeMessage(request).questions;
  const asked = Buffer.concat([encodeName(question!.name), uint16(question!.type, question!.class)]);
  const opcodeBits = request.readUInt16BE(2) & 0x7800;
  const header = uint16(request.readUInt16BE(0), 0x8000 | opcodeBits | flags | rcode, 1, records.length, 0, 0);
  return Buffer.concat([header, asked, ...records]);
}

function record(data: Buffer, { name = recordName, type = recordType.TXT as number } = {}): Buffer {
  return Buffer.concat([encodeName(name), uint16(type, recordClass.IN), uint32(60), uint16(data.length), data]);
}

/** The reply with a signature made here from RFC 8945 section 4.3, independent of the code under test. */
function signReply(
  reply: Buffer,
  {
    request,
    error = 0,
    other = Buffer.alloc(0),
    ...more
  }: {
    readonly request: Buffer;
    readonly error?: number;
    readonly other?: Buffer;
    readonly timeSeconds?: number;
    readonly key?: TsigKey;
  },
): Buffer {
  const { name, secret: hmacKey } = more.key ?? tsigKey;
  const requestMac = findTsig(decodeMessage(request))!.mac;
  const time = Buffer.alloc(8);
  time.writeUIntBE(more.timeSeconds ?? Math.floor(Date.now() / 1000), 0, 6);
  time.writeUInt16BE(300, 6);
  const algorithm = encodeName("hmac-sha256");
  const variables = [encodeName(name), uint16(255), uint32(0), algorithm, time, uint16(error, other.length), other];
  const signed = Buffer.concat([uint16(requestMac.length), requestMac, reply, ...variables]);
  const mac = createHmac("sha256", hmacKey).update(signed).digest();
  const data = Buffer.concat([
    algorithm,
    time,
    uint16(mac.length),
    mac,
    reply.subarray(0, 2),
    uint16(error, other.length),
    other,
  ]);
  const bytes = Buffer.concat([reply, encodeName(name), uint16(250, 255), uint32(0), uint16(data.length), data]);
  bytes.writeUInt16BE(1, 10);
  return bytes;
}

describe("rfc2136 codec", () => {
  test("an update is the one RFC 2136 describes, and fits a datagram together with its signature", () => {
    const update = encodeTxtUpdate({ id: 0x1234, zone: "example.net", name: recordName, value: "ab", ttlSeconds: 60 });
    const zone = "076578616d706c65036e657400";
    const owner = `28${Buffer.from(key).toString("hex")}046d657368c00c`;
    const expected = [
      "1234 2800 0001 0000 0002 0000",
      `${zone} 0006 0001`,
      `${owner} 0010 00ff 00000000 0000`,
      "c01d 0010 0001 0000003c 0003 026162",
    ];
    assert.equal(update.toString("hex"), expected.join("").replaceAll(" ", ""));
    const usual = encodeTxtUpdate({
      id: 1,
      zone: "example.net",
      name: recordName,
      value: sealedValue(258),
      ttlSeconds: 60,
    });
    const { bytes } = signMessage(usual, { key: tsigKey, nowSeconds: 1 });
    assert.ok(bytes.length <= 512, `${bytes.length} bytes`);
  });

  test("texts are split at 255 bytes and joined again", () => {
    for (const length of [0, 1, 254, 255, 256, 510, 511, 1000, 20_000]) {
      const value = sealedValue(length);
      const data = encodeTxt(value);
      assert.equal(decodeTxt(data), value);
      assert.equal(data.length, length + Math.max(1, Math.ceil(length / 255)));
    }
    assert.equal(decodeTxt(encodeTxt("世".repeat(200))), "世".repeat(200));
    assert.throws(() => decodeTxt(Buffer.of(5, 65)), DnsFormatError);
    assert.throws(() => decodeTxt(Buffer.of(1, 0xff)), DnsFormatError);
  });

  test("names: case, escapes, compression", () => {
    assert.deepEqual(decodeName(Buffer.from("\x03FoO\x02a.\x00"), 0), { text: "foo.a\\046", end: 8 });
    const bytes = Buffer.from("\x01b\x00\x01a\xc0\x00", "latin1");
    assert.deepEqual(decodeName(bytes, 3), { text: "a.b", end: 7 });
    assert.deepEqual(encodeName("a\\046.b"), Buffer.from("\x02a.\x01b\x00"));
    for (const [text, name] of [
      ["Mesh.Example.NET.", "mesh.example.net"],
      ["_stun.a-b", "_stun.a-b"],
      ["", undefined],
      ["a..b", undefined],
      ["a b", undefined],
      ["x".repeat(64), undefined],
      [`${"x".repeat(50)}.`.repeat(5), undefined],
    ] as const) {
      assert.equal(parseDnsName(text), name, text);
    }
  });

  test("loops, forward pointers, long names and cut off names are refused", () => {
    const wrong = [
      "\xc0\x00",
      "\x01a\xc0\x00",
      "\xc0\x02\x00",
      "\xc0",
      "\x05ab",
      "\x40a\x00",
      "\x80a\x00",
      "",
      `${`${"\x3f"}${"x".repeat(63)}`.repeat(4)}\x00`,
    ];
    for (const text of wrong)
      assert.throws(() => decodeName(Buffer.from(text, "latin1"), 0), DnsFormatError, JSON.stringify(text));
  });

  test("names of records are passed over, and pointers of others counted", () => {
    const chain = Buffer.alloc(2 * 130);
    for (let index = 1; index < 130; index++) chain.writeUInt16BE(0xc000 | (2 * (index - 1)), 2 * index);
    chain.write("\x01a", 0, "latin1");
    // The first pointer leads to the label, the second to the first: 127 of them are a name, 128 are none.
    const bytes = Buffer.concat([Buffer.from("\x01a\x00\x00", "latin1"), chain.subarray(4)]);
    assert.equal(bytes.readUInt16BE(4), 0xc002);
    bytes.writeUInt16BE(0xc000, 4);
    assert.equal(decodeName(bytes, 2 + 2 * 127).text, "a");
    assert.throws(() => decodeName(bytes, 2 + 2 * 128), DnsFormatError);
    // A pointer that leads nowhere, in a name nobody asks for.
    const reply = replyTo(encodeTxtQuery({ id: 7, name: recordName }), {
      records: [
        Buffer.concat([
          Buffer.of(0xff, 0xff),
          uint16(recordType.TXT, recordClass.IN),
          uint32(60),
          uint16(2),
          encodeTxt("x"),
        ]),
      ],
    });
    assert.deepEqual(
      decodeMessage(reply).answers.map(({ data }) => decodeTxt(data)),
      ["x"],
    );
    // But where the name ends must be plain.
    for (const name of ["\x40", "\x80", `${"\x3f"}${"x".repeat(63)}`.repeat(4)]) {
      const wrong = record(encodeTxt("x"), { name: "" });
      const records = [Buffer.concat([Buffer.from(name, "latin1"), wrong])];
      assert.throws(
        () => decodeMessage(replyTo(encodeTxtQuery({ id: 7, name: recordName }), { records })),
        DnsFormatError,
      );
    }
  });

  test("20,000 mutations of messages decode or are refused", () => {
    const query = encodeTxtQuery({ id: 7, name: recordName });
    const update = encodeTxtUpdate({
      id: 7,
      zone: "example.net",
      name: recordName,
      value: sealedValue(),
      ttlSeconds: 60,
    });
    const request = signMessage(update, { key: tsigKey, nowSeconds: 1 }).bytes;
    const samples = [
      query,
      request,
      replyTo(query, { records: [record(encodeTxt(sealedValue(300))), record(encodeTxt("x"))] }),
      signReply(replyTo(request), { request }),
    ];
    let refused = 0;
    for (let round = 0; round < 20_000; round++) {
      const sample = samples[round % samples.length]!;
      const cut = randomInt(4) === 0 ? randomInt(sample.length) : sample.length;
      const mutated = Buffer.from(sample.subarray(0, cut));
      for (let count = randomInt(1, 6); count > 0 && cut > 0; count--) mutated[randomInt(cut)] = randomInt(256);
      try {
        const message = decodeMessage(mutated);
        for (const { data } of message.answers) decodeTxt(data);
        const tsig = findTsig(message);
        if (tsig) whyNotGenuine(mutated, { tsig, key: tsigKey, requestMac: Buffer.alloc(32) });
      } catch (error) {
        refused++;
        assert.ok(error instanceof DnsFormatError, String(error));
      }
    }
    assert.ok(refused > 5000, `${refused} refused`);
  });

  test("a message of 64 KiB that promises 65,535 records is refused at its end", () => {
    const bytes = Buffer.concat([uint16(1, 0x8000, 0, 0xffff, 0xffff, 0xffff), Buffer.alloc(65_000)]);
    assert.throws(() => decodeMessage(bytes), DnsFormatError);
  });
});

describe("rfc2136 options", () => {
  test("servers are host, host:port or [address]:port", () => {
    for (const [text, server] of [
      ["ns.example.net", { host: "ns.example.net", port: 53 }],
      ["192.0.2.7:5353", { host: "192.0.2.7", port: 5353 }],
      ["[2001:db8::7]:5353", { host: "2001:db8::7", port: 5353 }],
      ["2001:db8::7", { host: "2001:db8::7", port: 53 }],
      ["ns.example.net@5353", { host: "ns.example.net", port: 5353 }],
      ["192.0.2.7#5353", { host: "192.0.2.7", port: 5353 }],
      ["2001:db8::7@5353", { host: "2001:db8::7", port: 5353 }],
      ["[2001:db8::7]#5353", { host: "2001:db8::7", port: 5353 }],
    ] as const) {
      assert.deepEqual(parseOptions({ server: text }).data?.server, server);
    }
    for (const server of [
      "",
      "a:b",
      "ns:0",
      "ns:65536",
      "http://ns",
      "a b",
      "[ns",
      "ns@",
      "ns@0",
      "ns#65536",
      "a:53@53",
      "[2001:db8::7]:53@53",
      "ns@53@53",
      "user@ns",
      "@53",
    ]) {
      assert.equal(parseOptions({ server }).success, false, server);
    }
  });

  test("algorithms are read as servers, dig and people write them", () => {
    for (const [text, algorithm] of [
      ["hmac-sha256", "hmac-sha256"],
      ["HMAC-SHA256", "hmac-sha256"],
      ["hmac-sha512.", "hmac-sha512"],
      ["hmac-sha384", "hmac-sha384"],
      ["hmac-sha224", "hmac-sha224"],
      ["HMAC-SHA1.", "hmac-sha1"],
      ["hmac-md5", "hmac-md5.sig-alg.reg.int"],
      ["HMAC-MD5.SIG-ALG.REG.INT.", "hmac-md5.sig-alg.reg.int"],
    ] as const) {
      assert.equal(parseOptions({ algorithm: text }).data?.key.algorithm, algorithm, text);
    }
    assert.equal(parseOptions({}).data?.key.algorithm, "hmac-sha256");
    // What may be meant by these is a guess.
    for (const text of ["", "sha256", "hmac-sha2", "hmac-sha256-128", "md5", "hmac-sha256..", "constructor"]) {
      assert.match(String(parseOptions({ algorithm: text }).error), /must be one of hmac-sha256, hmac-sha512/, text);
    }
  });

  test("a key file of tsig-keygen is read whole, and contradicts nothing", () => {
    const file = `# made by tsig-keygen\nkey "Mesh-Key" {\n\talgorithm hmac-sha384;\n\tsecret "${secret.toString("base64")}";\n};\n`;
    const given = { key_name: undefined, algorithm: undefined, key_secret: file };
    const wanted = { name: "mesh-key", algorithm: "hmac-sha384", secret };
    assert.deepEqual(parseOptions(given).data?.key, wanted);
    assert.deepEqual(parseOptions({ ...given, key_name: "mesh-key.", algorithm: "HMAC-SHA384" }).data?.key, wanted);
    assert.deepEqual(
      parseOptions({ ...given, key_secret: file.replaceAll(/\s+/g, " ").replace(/^.*?key /, "key ") }).data?.key,
      wanted,
    );
    const complaint = (options: Readonly<Record<string, unknown>>) => {
      const { error } = parseOptions({ ...given, ...options });
      assert.ok(!JSON.stringify(error?.issues ?? []).includes(secret.toString("base64")));
      return `${String(error?.issues[0]?.path[0])}: ${error?.issues[0]?.message}`;
    };
    assert.match(complaint({ key_name: "other" }), /^key_name: is another name than that in the key file/);
    assert.match(complaint({ algorithm: "hmac-sha256" }), /^algorithm: is another than that in the key file/);
    assert.match(
      complaint({ key_secret: secret.toString("base64") }),
      /^key_name: missing: the name of a TSIG key wanted/,
    );
    for (const wrong of [
      `${file}${file}`,
      file.replace("};", "}"),
      file.replace("algorithm hmac-sha384;", ""),
      file.replace("hmac-sha384", "hmac-none"),
      file.replace("algorithm", "secret"),
      file.replace("key ", "zone "),
      `include "/etc/bind/keys";\n${file}`,
      `${file}${" ".repeat(5000)}`,
      "key {",
    ]) {
      assert.match(
        complaint({ key_secret: wrong }),
        /^key_secret: must be the key's secret in base64, or a key file/,
        wrong,
      );
    }
  });

  test("a name that would be too long, and a secret that is no base64, are refused without showing it", () => {
    const long = Array.from({ length: 4 }, () => "x".repeat(50)).join(".");
    assert.match(String(parseOptions({ subdomain: long, zone: "example.net" }).error), /too long for a name/);
    const { error } = parseOptions({ key_secret: "no base64, but secret!" });
    assert.ok(error && !JSON.stringify(error.issues).includes("but secret"));
  });

  function parseOptions(options: Readonly<Record<string, unknown>>) {
    return rfc2136.schema.safeParse({
      server: "ns",
      zone: "example.net",
      key_name: "k",
      key_secret: "aaaa",
      ...options,
    });
  }
});

describe("rfc2136 get", { timeout: 120_000 }, () => {
  test("returns every TXT record, joined, and nothing else", async (t) => {
    const values = [sealedValue(300), sealedValue(138)];
    const records = [
      record(encodeName("elsewhere.example"), { type: 5 }),
      ...values.map((value) => record(encodeTxt(value), { name: "elsewhere.example" })),
      record(Buffer.of(9, 1)),
      record(Buffer.of(1, 0xff)),
    ];
    const { server } = await startFakeDns(t, (request) => [replyTo(request, { records })]);
    assert.deepEqual(await open(server, { tcp: true }).get(key, noSignal()), values);
  });

  test("NXDOMAIN and an answer without records are an empty list", async (t) => {
    for (const rcode of [3, 0]) {
      const { server } = await startFakeDns(t, (request) => [replyTo(request, { rcode })]);
      assert.deepEqual(await open(server).get(key, noSignal()), []);
    }
  });

  test("datagrams with another ID, another question or no sense are passed over", async (t) => {
    const value = sealedValue();
    const { server } = await startFakeDns(t, (request) => {
      const forged = replyTo(request, { records: [record(encodeTxt("forged"))] });
      const otherId = Buffer.from(forged);
      otherId.writeUInt16BE((request.readUInt16BE(0) + 1) & 0xffff, 0);
      const otherName = replyTo(
        Buffer.concat([request.subarray(0, 12), encodeName("other.example.net"), request.subarray(-4)]),
        { records: [record(encodeTxt("forged"))] },
      );
      const noReply = Buffer.from(forged);
      noReply.writeUInt16BE(0x0100, 2);
      const cutOff = forged.subarray(0, -1);
      // Without EDNS nobody may send more than 512 bytes.
      const tooLong = replyTo(request, { records: [record(encodeTxt("forged")), record(Buffer.alloc(400))] });
      assert.ok(tooLong.length > 512);
      const twoQuestions = Buffer.from(forged);
      twoQuestions.writeUInt16BE(2, 4);
      const proper = replyTo(request, { records: [record(encodeTxt(value))] });
      return [otherId, otherName, noReply, cutOff, tooLong, twoQuestions, Buffer.alloc(0), randomBytes(500), proper];
    });
    assert.deepEqual(await open(server).get(key, noSignal()), [value]);
  });

  test("asks again by UDP after 0.5, 1, 2 ... s, and gives up after five times", async (t) => {
    let lost = 3;
    const fake = await startFakeDns(t, (request) => (lost-- > 0 ? [] : [replyTo(request)]));
    const clock = createFakeClock();
    const answered = open(fake.server, {}, clock).get(key, noSignal());
    for (const [index, pauseMs] of [500, 1000, 2000].entries()) {
      await until(() => fake.asked.length === index + 1);
      await clock.advance(pauseMs - 1);
      assert.equal(fake.asked.length, index + 1);
      await clock.advance(1);
    }
    assert.deepEqual(await answered, []);
    lost = 100;
    const unanswered = assert.rejects(open(fake.server, {}, clock).get(key, noSignal()), {
      code: "STORE_UNAVAILABLE",
      message: `Cannot get from plugin "mine": DNS server ${fake.server}: no answer`,
    });
    for (let sends = 1; sends <= 5; sends++) {
      await until(() => fake.asked.length === 4 + sends);
      await clock.advance(500 * 2 ** (sends - 1));
    }
    await unanswered;
    assert.equal(fake.asked.length, 9);
  });

  test("a truncated reply is asked for again by TCP; `tcp` never uses UDP", async (t) => {
    const values = Array.from({ length: 20 }, () => sealedValue(258));
    const fake = await startFakeDns(t, (request, transport) =>
      transport === "udp"
        ? [replyTo(request, { flags: 0x0200 })]
        : [replyTo(request, { records: values.map((value) => record(encodeTxt(value))) })],
    );
    assert.deepEqual(await open(fake.server).get(key, noSignal()), values);
    assert.deepEqual(fake.asked, ["udp", "tcp"]);
    assert.deepEqual(await open(fake.server, { tcp: true }).get(key, noSignal()), values);
    assert.deepEqual(fake.asked, ["udp", "tcp", "tcp"]);
  });

  test("replies by TCP that make no sense are STORE_REPLY_INVALID", async (t) => {
    for (const wrong of [
      (request: Buffer) => replyTo(request, { flags: 0x0200 }),
      (request: Buffer) => replyTo(request).subarray(0, 20),
      (request: Buffer) => Buffer.concat([uint16(request.readUInt16BE(0) ^ 1), replyTo(request).subarray(2)]),
      () => randomBytes(300),
    ]) {
      const { server } = await startFakeDns(t, (request) => [wrong(request)]);
      await assert.rejects(open(server, { tcp: true }).get(key, noSignal()), { code: "STORE_REPLY_INVALID" });
    }
  });

  test("a call that is given up while the server is silent ends at once", async (t) => {
    for (const tcp of [false, true]) {
      const fake = await startFakeDns(t, () => []);
      const controller = new AbortController();
      const reason = new Error("the daemon stops");
      const call = assert.rejects(open(fake.server, { tcp }).get(key, controller.signal), reason);
      await until(() => fake.asked.length === 1);
      controller.abort(reason);
      await call;
    }
  });

  test("RCODEs are explained", async (t) => {
    for (const [rcode, code, message] of [
      [1, "STORE_FAILED", /: FORMERR$/],
      [2, "STORE_UNAVAILABLE", /: SERVFAIL: the server could not find out/],
      [5, "STORE_UNAVAILABLE", /: REFUSED: .*see `read_server`/],
      [15, "STORE_UNAVAILABLE", /: RCODE 15$/],
    ] as const) {
      const { server } = await startFakeDns(t, (request) => [replyTo(request, { rcode })]);
      await assert.rejects(open(server).get(key, noSignal()), { code, message });
    }
  });
});

describe("rfc2136 set", { timeout: 120_000 }, () => {
  test("succeeds only with a reply that is signed for this request, by this key, now", async (t) => {
    const otherKey = { ...tsigKey, secret: randomBytes(32) };
    const namedKey = { ...tsigKey, name: "other-key" };
    const hourAgo = Math.floor(Date.now() / 1000) - 3600;
    let earlier: Buffer | undefined;
    const cases: readonly (readonly [RegExp | undefined, (request: Buffer) => Buffer])[] = [
      [undefined, (request) => signReply(replyTo(request), { request })],
      [/not to be trusted: it is not signed$/, (request) => replyTo(request)],
      [/its signature is wrong$/, (request) => signReply(replyTo(request), { request, key: otherKey })],
      [/it is signed with another key$/, (request) => signReply(replyTo(request), { request, key: namedKey })],
      [/signed at another time/, (request) => signReply(replyTo(request), { request, timeSeconds: hourAgo })],
      [
        /its signature is wrong$/,
        (request) => {
          const reply = signReply(replyTo(request), { request });
          reply[3]! ^= 0x10;
          return reply;
        },
      ],
    ];
    for (const [message, answer] of cases) {
      const { server } = await startFakeDns(t, (request) => {
        earlier ??= request;
        return [answer(request)];
      });
      const call = open(server).set(key, sealedValue(), noSignal());
      if (message) await assert.rejects(call, { code: "STORE_REPLY_INVALID", message });
      else await call;
    }
    const replayed = await startFakeDns(t, (request) => [signReply(replyTo(request), { request: earlier! })]);
    await assert.rejects(open(replayed.server).set(key, sealedValue(), noSignal()), { message: /signature is wrong$/ });
  });

  test("a reply whose signature is cut short, or that has none of it, is not believed", async (t) => {
    for (const bytes of [0, 1, 10, 16, 31]) {
      const { server } = await startFakeDns(t, (request) => [cutMac(signReply(replyTo(request), { request }), bytes)]);
      await assert.rejects(open(server).set(key, sealedValue(), noSignal()), {
        code: "STORE_REPLY_INVALID",
        message: /not to be trusted: its signature is wrong$/,
      });
    }
    // The cut itself is not what is refused.
    const whole = await startFakeDns(t, (request) => [cutMac(signReply(replyTo(request), { request }), 32)]);
    await open(whole.server).set(key, sealedValue(), noSignal());
  });

  test("every algorithm signs and is believed, as long as its own", async () => {
    const lengths = {
      "hmac-sha1": 20,
      "hmac-sha224": 28,
      "hmac-sha256": 32,
      "hmac-sha384": 48,
      "hmac-sha512": 64,
    } as const;
    const algorithms = { ...lengths, "hmac-md5.sig-alg.reg.int": 16 } as const;
    for (const [algorithm, length] of Object.entries(algorithms) as readonly [TsigKey["algorithm"], number][]) {
      const query = encodeTxtQuery({ id: 1, name: recordName });
      const { bytes, mac } = signMessage(query, { key: { ...tsigKey, algorithm }, nowSeconds: 1 });
      assert.equal(mac.length, length);
      assert.equal(findTsig(decodeMessage(bytes))?.algorithm, algorithm);
    }
  });

  /** The signed message with only the first bytes of its MAC. */
  function cutMac(signed: Buffer, length: number): Buffer {
    const { offset, mac } = findTsig(decodeMessage(signed))!;
    const macAt = signed.indexOf(mac, offset);
    const dataLengthAt = offset + encodeName(tsigKey.name).length + 8;
    const cut = Buffer.concat([signed.subarray(0, macAt + length), signed.subarray(macAt + mac.length)]);
    cut.writeUInt16BE(length, macAt - 2);
    cut.writeUInt16BE(signed.readUInt16BE(dataLengthAt) - (mac.length - length), dataLengthAt);
    return cut;
  }

  test("a value that does not fit a datagram goes by TCP at once", async (t) => {
    const fake = await startFakeDns(t, (request) => [signReply(replyTo(request), { request })]);
    await open(fake.server).set(key, sealedValue(258), noSignal());
    await open(fake.server).set(key, sealedValue(1000), noSignal());
    assert.deepEqual(fake.asked, ["udp", "tcp"]);
  });

  test("RCODEs and TSIG errors are explained", async (t) => {
    const serverTime = Buffer.alloc(6);
    serverTime.writeUIntBE(Math.floor(Date.now() / 1000) + 7200, 0, 6);
    const cases: readonly (readonly [RegExp, (request: Buffer) => Buffer])[] = [
      [/FORMERR: the server does not understand the update$/, (request) => replyTo(request, { rcode: 1 })],
      [/SERVFAIL: .*its log says why/, (request) => replyTo(request, { rcode: 2 })],
      [/NOTIMP: the server takes no dynamic updates$/, (request) => replyTo(request, { rcode: 4 })],
      [
        /REFUSED: key "mesh-key" may not update this record of zone "example.net" there$/,
        (request) => replyTo(request, { rcode: 5 }),
      ],
      [/NOTAUTH: the server is not the primary of zone/, (request) => replyTo(request, { rcode: 9 })],
      [/NOTZONE: /, (request) => replyTo(request, { rcode: 10 })],
      [/BADSIG: the secret of key/, (request) => signReply(replyTo(request, { rcode: 9 }), { request, error: 16 })],
      [/BADKEY: the server has no key/, (request) => signReply(replyTo(request, { rcode: 9 }), { request, error: 17 })],
      [
        /BADTIME: this host's clock is 7(199|200|201) s behind the server's/,
        (request) => signReply(replyTo(request, { rcode: 9 }), { request, error: 18, other: serverTime }),
      ],
      [/BADTIME: the clocks/, (request) => signReply(replyTo(request, { rcode: 9 }), { request, error: 18 })],
      [/BADTRUNC/, (request) => signReply(replyTo(request, { rcode: 9 }), { request, error: 22 })],
    ];
    for (const [message, answer] of cases) {
      const { server } = await startFakeDns(t, (request) => [answer(request)]);
      await assert.rejects(open(server).set(key, sealedValue(), noSignal()), (error: Error) => {
        assert.match(error.message, message);
        assert.match(errorCode(error) ?? "", /^STORE_(UNAVAILABLE|FAILED)$/);
        assert.ok(!`${error.stack}${String(error.cause)}`.includes(secret.toString("base64")));
        return true;
      });
    }
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise(setImmediate);
}
