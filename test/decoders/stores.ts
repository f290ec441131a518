/** Decoders of what stores return. */
import { randomBytes } from "node:crypto";
import { sealBox } from "../../src/box.ts";
import { checkReply, refusalError } from "../../src/plugins/cloudflare-reply.ts";
import { firstJsonObject } from "../../src/plugins/first-json.ts";
import { statusError } from "../../src/plugins/http-errors.ts";
import { readLines } from "../../src/plugins/http-lines.ts";
import { decodeLine, isProxyLine, sortValues } from "../../src/plugins/opendht-envelope.ts";
import { createReplyParser } from "../../src/plugins/redis-protocol.ts";
import { parseRetryAfter } from "../../src/plugins/retry-after.ts";
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
import { DnsFormatError, encodeName } from "../../src/plugins/rfc2136-name.ts";
import { findTsig, signMessage, whyNotGenuine } from "../../src/plugins/rfc2136-tsig.ts";
import { scrub } from "../../src/plugins/scrub.ts";
import { parseTxtContent } from "../../src/plugins/txt-content.ts";
import { withoutLineEnds } from "../../src/plugins/value.ts";
import { openRecord, sealRecord } from "../../src/record.ts";
import { derivePublicKey } from "../../src/wg/key.ts";
import { type Decoder, fill, many, run } from "./decoder.ts";

const ourKey = new Uint8Array(32).fill(0x41);
const theirKey = new Uint8Array(32).fill(0x42);
const direction = { senderKey: derivePublicKey(theirKey), receiverKey: derivePublicKey(ourKey) };
const endpoints = {
  ipv4: { family: "ipv4", host: "192.0.2.1", port: 51820 },
  ipv6: { family: "ipv6", host: "2001:db8::1", port: 51820 },
} as const;

export const sealedRecord: Decoder = {
  name: "record, sealed",
  samples: [Buffer.from(sealRecord({ endpoints, sequence: 1, nat: "eim" }, { ...direction, privateKey: theirKey }))],
  worst: {
    "hexadecimal digits": (bytes) => Buffer.from(fill("0a", bytes & ~1)),
    "an odd digit": (bytes) => Buffer.from(fill("0a", bytes | 1)),
    "a wrong end": run("0a"),
  },
  decode: (input) => openRecord(input.toString("utf8"), { ...direction, privateKey: ourKey }),
};

/** Only the peer itself can make these. */
export const plainRecord: Decoder = {
  name: "record, plain text",
  samples: [
    Buffer.from('{"ipv4":"192.0.2.1:51820","ipv6":"[2001:db8::1]:51820","seq":1790000000,"dir":0,"nat":"eim"}'),
    Buffer.from('{"IPv4":"192.0.2.1:1","ipv6":null}'),
  ],
  worst: {
    members: (bytes) => Buffer.from(`{${many((index) => `"a${index}":1,`, bytes)}"b":1}`),
    "members in other spellings": (bytes) => Buffer.from(`{${many(() => '"IPV4":"1",', bytes)}"b":1}`),
    "a long address": (bytes) => Buffer.from(`{"ipv4":"[${fill(":", bytes)}]:1"}`),
    "control characters": (bytes) => Buffer.from(`{"ipv4":"${fill("\\u0000", bytes)}"}`),
    lists: (bytes) => Buffer.from(fill("[", bytes)),
    "lists in lists": (bytes) => Buffer.from(`{"ipv4":${fill("[", bytes / 2)}${fill("]", bytes / 2)}}`),
  },
  decode: (input) =>
    openRecord(sealBox(input, { privateKey: theirKey, peerPublicKey: direction.receiverKey }), {
      ...direction,
      privateKey: ourKey,
    }),
};

const tsigKey = { name: "mesh-key", algorithm: "hmac-sha256", secret: Buffer.alloc(32, 1) } as const;
const recordName = `${"0a".repeat(20)}.mesh.example.net`;
const query = encodeTxtQuery({ id: 7, name: recordName });
const update = encodeTxtUpdate({
  id: 7,
  zone: "example.net",
  name: recordName,
  value: "0a".repeat(100),
  ttlSeconds: 60,
});
const request = signMessage(update, { key: tsigKey, nowSeconds: 1 });

interface DnsParts {
  readonly question?: Buffer;
  readonly answers?: readonly Buffer[];
  readonly additional?: readonly Buffer[];
}

function dnsReply({ question, answers = [], additional = [] }: DnsParts): Buffer {
  const header = uint16(7, 0x8000, question ? 1 : 0, answers.length, 0, additional.length);
  return Buffer.concat([header, question ?? Buffer.alloc(0), ...answers, ...additional]);
}

function dnsRecord(name: Buffer, { type, data = Buffer.alloc(0) }: { readonly type: number; readonly data?: Buffer }) {
  return Buffer.concat([name, uint16(type, recordClass.IN), uint32(60), uint16(data.length), data]);
}

const asked = Buffer.concat([encodeName(recordName), uint16(recordType.TXT, recordClass.IN)]);
const toQuestion = uint16(0xc00c);
const txt = (data: Buffer) => dnsRecord(toQuestion, { type: recordType.TXT, data });

/** A message has at most 65,535 bytes. */
const dnsCount = (bytes: number, each: number) => Math.floor((Math.min(bytes, 65_500) - 100) / each);

/** A name of one-letter labels, 253 characters long: what a pointer of two bytes can stand for. */
const longName = encodeName(Array.from({ length: 126 }, () => "\\001").join("."));

export const dns: Decoder = {
  name: "DNS message and TSIG",
  samples: [
    query,
    request.bytes,
    dnsReply({ question: asked, answers: [txt(encodeTxt("0a".repeat(300))), txt(encodeTxt("x"))] }),
    signMessage(dnsReply({ question: asked }), { key: tsigKey, nowSeconds: 1 }).bytes,
  ],
  worst: {
    // Half of the message is a chain of pointers, the other half names that begin at its end.
    "a chain of pointers": (bytes) => {
      const links = dnsCount(bytes, 8);
      const chain = Buffer.alloc(links * 2);
      for (let index = 1; index < links; index++) chain.writeUInt16BE(0xc000 | (22 + index * 2), index * 2);
      const first = dnsRecord(Buffer.alloc(1), { type: 1, data: Buffer.concat([Buffer.alloc(1), chain.subarray(1)]) });
      const name = uint16(0xc000 | (23 + links * 2 - 3));
      const count = dnsCount(bytes - first.length, 12);
      return dnsReply({ answers: [first, ...Array.from({ length: count }, () => dnsRecord(name, { type: 1 }))] });
    },
    "pointers to a name of 126 labels": (bytes) => {
      const question = Buffer.concat([longName, uint16(recordType.TXT, recordClass.IN)]);
      const answers = Array.from({ length: dnsCount(bytes, 12) }, () =>
        dnsRecord(toQuestion, { type: recordType.TXT }),
      );
      return dnsReply({ question, answers });
    },
    questions: (bytes) => {
      const count = dnsCount(bytes, longName.length + 4);
      const question = Buffer.concat([longName, uint16(16, 1)]);
      return Buffer.concat([uint16(7, 0x8000, count, 0, 0, 0), ...Array.from({ length: count }, () => question)]);
    },
    "texts of one byte": (bytes) => {
      const data = Buffer.from(fill("\x01a", dnsCount(bytes, 2) * 2));
      return dnsReply({ question: asked, answers: [txt(data)] });
    },
    "empty texts": (bytes) => dnsReply({ question: asked, answers: [txt(Buffer.alloc(dnsCount(bytes, 1)))] }),
    records: (bytes) =>
      dnsReply({ question: asked, answers: Array.from({ length: dnsCount(bytes, 12) }, () => txt(Buffer.alloc(0))) }),
    signatures: (bytes) => {
      const one = dnsRecord(toQuestion, { type: recordType.TSIG });
      return dnsReply({ question: asked, additional: Array.from({ length: dnsCount(bytes, one.length) }, () => one) });
    },
  },
  decode(input) {
    const message = decodeMessage(input);
    const texts = message.answers.map(({ data }) => {
      try {
        return decodeTxt(data);
      } catch (error) {
        if (error instanceof DnsFormatError) return undefined;
        throw error;
      }
    });
    const tsig = findTsig(message);
    if (tsig && whyNotGenuine(input, { tsig, key: tsigKey, requestMac: randomBytes(32) }) === undefined) {
      throw new RangeError("a reply was genuine that nobody signed");
    }
    return texts;
  },
  isDeclared: (error) => error instanceof DnsFormatError,
};

/** In pieces, as a network may cut them: of as many bytes as the first byte says. */
export const redis: Decoder = {
  name: "Redis replies",
  samples: [
    Buffer.from("+OK\r\n-ERR no\r\n:-7\r\n$5\r\na\r\nb\r\r\n$-1\r\n*3\r\n$1\r\nx\r\n*-1\r\n*1\r\n:1\r\n$0\r\n\r\n"),
    Buffer.from("*2\r\n+OK\r\n:1\r\n*3\r\n$7\r\nmessage\r\n$7\r\nchannel\r\n$1\r\n1\r\n"),
    Buffer.from(`$1000\r\n${"0a".repeat(500)}\r\n`),
  ],
  worst: {
    "a value": (bytes) => Buffer.from(`$${bytes}\r\n${fill("a", bytes)}\r\n`),
    "a line without an end": run("a", { head: "+" }),
    "lists of lists": (bytes) => {
      // 64 x 64 numbers in a list of 64.
      const inner = `*64\r\n${":1\r\n".repeat(64)}`;
      return Buffer.from(`*64\r\n${many((index) => (index % 64 === 0 ? `*64\r\n${inner}` : inner), bytes)}`);
    },
    "lists of values": (bytes) => Buffer.from(`*64\r\n*64\r\n${many(() => `$1000\r\n${"a".repeat(1000)}\r\n`, bytes)}`),
    "many replies": run(":1\r\n", { end: "" }),
    "half a line end": run("\r", { head: "+" }),
  },
  decode(input) {
    const parse = createReplyParser();
    const size = 1 + (input.length > 0 ? (input[0] ?? 0) % 64 : 0);
    for (let at = 0; at < input.length; at += size) parse(input.subarray(at, at + size));
  },
};

const envelope = (index: number) => {
  const data = JSON.stringify({ magic: "stunmesh-v1", ts: 1_790_000_000 + index, data: `0a${index}` });
  return `${JSON.stringify({ data: Buffer.from(data).toString("base64"), expired: false })}\n`;
};

export const opendht: Decoder = {
  name: "OpenDHT's lines",
  samples: [Buffer.from(envelope(1) + envelope(2)), Buffer.from("{}\r\n[]\n\n")],
  worst: {
    values: (bytes) => Buffer.from(many(envelope, bytes)),
    "one line": run("a"),
    "empty lines": run("\n"),
    "lists in lists": run("[[[[[[[[\n"),
    "base64 of nothing": run("=", { head: '{"data":"', end: '"}' }),
  },
  async decode(input) {
    const values = [];
    async function* source() {
      for (let at = 0; at < input.length; at += 1000) yield input.subarray(at, at + 1000);
    }
    for await (const line of readLines(source(), { maxLineBytes: 8192, maxBytes: 4 * 1024 * 1024 })) {
      const value = decodeLine(line, { magic: "stunmesh-v1" });
      if (value) values.push(value);
      isProxyLine(line);
    }
    return sortValues(values, { nowSeconds: 1_800_000_000 });
  },
};

/** What is done with the text of a value, wherever it came from. */
export const values: Decoder = {
  name: "values as text",
  samples: [Buffer.from("0a0b\r\n"), Buffer.from('"0a" "\\065"'), Buffer.from('{"success":true,"value":"0a"} more')],
  worst: {
    "line ends and a letter": run("\n"),
    "CR and LF": run("\r\n"),
    quotes: run('"'),
    "quotes and backslashes": run('\\"', { head: '"' }),
    "quoted strings": run('"a" '),
    braces: run("{"),
    "braces and quotes": run('{"'),
    blanks: run(" "),
    "escapes of a terminal": run("\u009b["),
    "half a key": run(`${"a".repeat(63)}-`),
  },
  decode(input) {
    const text = input.toString("utf8");
    return [withoutLineEnds(text), parseTxtContent(text), firstJsonObject(input), scrub(text, ["a-secret-of-ours"])];
  },
};

const cloudflareError = (index: number) =>
  `{"code":${index},"message":"no","error_chain":[{"code":1,"message":"why"}]},`;
const replyOptions = { action: "get", rights: "Zone:Read", secrets: ["a-secret-of-ours"], nowMs: 0 };

/** Lines: content type, Retry-After, location, then the body. */
export const httpAnswers: Decoder = {
  name: "answers by HTTP",
  samples: [
    Buffer.from(`application/json\n120\n/elsewhere\n{"success":false,"errors":[${cloudflareError(1)}{"code":2}]}`),
    Buffer.from("text/plain\nWed, 21 Oct 2026 07:28:00 GMT\n\nno such key"),
    Buffer.from('application/json\n\n\n{"success":true,"result":[]}'),
  ],
  worst: {
    "a content type": run("+", { head: "application/" }),
    "a date": run("0", { head: "\nMon, ", end: "00:00" }),
    "a place": run("/", { head: "\n\n" }),
    errors: (bytes) => Buffer.from(`a\n\n\n{"errors":[${many(cloudflareError, bytes)}{}]}`),
    "one long error": (bytes) => Buffer.from(`a\n\n\n{"errors":[{"message":"${fill("a ", bytes)}"}]}`),
    "lists in lists": run("[", { head: "a\n\n\n" }),
  },
  decode(input) {
    const [type = "", retryAfter = "", location = "", ...body] = input.toString("utf8").split("\n");
    const url = new URL("https://api.example.net/v1");
    const headers = { "content-type": type, "retry-after": retryAfter, location };
    const text = body.join("\n");
    parseRetryAfter(retryAfter, { nowMs: 0 });
    statusError({ url, ...replyOptions, status: 302, headers, text });
    statusError({ url, ...replyOptions, status: 500, headers, text });
    refusalError({ status: 429, headers, text }, { url, ...replyOptions });
    checkReply({ status: 200, headers, text }, { url, ...replyOptions });
  },
};
