import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import nacl from "tweetnacl";
import { type EndpointRecord, type PeerProtocol, parseTransportAddress, selectEndpoints } from "../src/address.ts";
import { openBox, sealBox } from "../src/box.ts";
import { errorCode } from "../src/errors.ts";
import { checkFresh, openRecord, sealRecord, storageKey } from "../src/record.ts";
import { fixturePath } from "./fixtures/path.ts";

interface Vectors {
  readonly keypairs: Record<"A" | "B" | "C", { readonly privateHex: string; readonly publicHex: string }>;
  readonly pinned: Record<"devicePublicHex" | "peerPublicHex" | "publishKey" | "lookupKey", string>;
  readonly storageKeys: readonly { local: Name; remote: Name; publishKey: string; lookupKey: string }[];
  readonly boxes: readonly Record<"case" | "nonceHex" | "plaintext" | "storedValue", string>[] &
    readonly { sender: Name; receiver: Name }[];
  readonly openCases: readonly { name: string; value: string; result: string; plaintext?: string }[];
  readonly selection: readonly { protocol: string; has: { ipv4: boolean; ipv6: boolean }; picks: string }[];
}
type Name = "A" | "B" | "C";

const vectors: Vectors = JSON.parse(readFileSync(fixturePath("record-vectors.json"), "utf8"));

function keysOf(name: Name) {
  const { privateHex, publicHex } = vectors.keypairs[name];
  return { privateKey: Buffer.from(privateHex, "hex"), publicKey: Buffer.from(publicHex, "hex") };
}
const a = keysOf("A");
const b = keysOf("B");
const fromA = { senderKey: a.publicKey, receiverKey: b.publicKey };

function endpoints(record: { ipv4?: string; ipv6?: string }): EndpointRecord {
  const ipv4 = record.ipv4 === undefined ? undefined : parseTransportAddress(record.ipv4);
  const ipv6 = record.ipv6 === undefined ? undefined : parseTransportAddress(record.ipv6);
  return { ...(ipv4 && { ipv4 }), ...(ipv6 && { ipv6 }) };
}

/** The plain text of what A sealed for B. */
function plainOf(sealed: string): string {
  return Buffer.from(openBox(sealed, { privateKey: b.privateKey, peerPublicKey: a.publicKey })).toString();
}

/** Seals any plain text as A for B. */
function sealPlain(plain: string): string {
  return sealBox(Buffer.from(plain), { privateKey: a.privateKey, peerPublicKey: b.publicKey });
}

test("storageKey() gives the vectors' keys in both directions", () => {
  for (const { local, remote, publishKey, lookupKey } of vectors.storageKeys) {
    const own = keysOf(local).publicKey;
    const peer = keysOf(remote).publicKey;
    assert.equal(storageKey({ senderKey: own, receiverKey: peer }), publishKey);
    assert.equal(storageKey({ senderKey: peer, receiverKey: own }), lookupKey);
  }
  const { devicePublicHex, peerPublicHex, publishKey, lookupKey } = vectors.pinned;
  const own = Buffer.from(devicePublicHex, "hex");
  const peer = Buffer.from(peerPublicHex, "hex");
  assert.equal(storageKey({ senderKey: own, receiverKey: peer }), publishKey);
  assert.equal(storageKey({ senderKey: peer, receiverKey: own }), lookupKey);
});

test("sealBox() and openBox() agree with every vector", () => {
  assert.equal(vectors.boxes.length, 10);
  for (const { sender, receiver, nonceHex, plaintext, storedValue } of vectors.boxes) {
    const seal = { privateKey: keysOf(sender).privateKey, peerPublicKey: keysOf(receiver).publicKey };
    const open = { privateKey: keysOf(receiver).privateKey, peerPublicKey: keysOf(sender).publicKey };
    assert.equal(sealBox(Buffer.from(plaintext), { ...seal, nonce: Buffer.from(nonceHex, "hex") }), storedValue);
    assert.equal(Buffer.from(openBox(storedValue, open)).toString(), plaintext);
  }
});

test("sealBox() agrees with tweetnacl on random keys and texts", () => {
  for (let round = 0; round < 50; round++) {
    const one = nacl.box.keyPair();
    const two = nacl.box.keyPair();
    const plain = nacl.randomBytes(round * 7);
    const nonce = nacl.randomBytes(24);
    const expected = Buffer.concat([nonce, nacl.box(plain, nonce, two.publicKey, one.secretKey)]).toString("hex");
    const sealed = sealBox(plain, { privateKey: one.secretKey, peerPublicKey: two.publicKey, nonce });
    assert.equal(sealed, expected);
    const opened = openBox(sealed, { privateKey: two.secretKey, peerPublicKey: one.publicKey });
    assert.deepEqual(Buffer.from(opened), Buffer.from(plain));
  }
});

test("openBox() treats every edge case of the vectors as they say", () => {
  assert.equal(vectors.openCases.length, 12);
  for (const { name, value, result, plaintext } of vectors.openCases) {
    const open = () => openBox(value, { privateKey: b.privateKey, peerPublicKey: a.publicKey });
    if (result === "ok") assert.equal(Buffer.from(open()).toString(), plaintext, name);
    else assert.throws(open, (error) => errorCode(error) === "RECORD_UNREADABLE", name);
  }
});

test("sealBox() refuses public keys of low order and keys of wrong length", () => {
  const lowOrder = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
  ];
  for (const peerPublicKey of [...lowOrder.map((hex) => Buffer.from(hex, "hex")), Buffer.alloc(31), Buffer.alloc(33)]) {
    assert.throws(
      () => sealBox(Buffer.from("{}"), { privateKey: a.privateKey, peerPublicKey }),
      (error) => errorCode(error) === "KEY_INVALID",
    );
  }
});

test("selectEndpoints() picks what the vectors pick", () => {
  const record = { ipv4: "203.0.113.10:51820", ipv6: "[2001:db8::1]:51820" };
  const known = vectors.selection.filter(({ protocol }) => protocol !== "" && protocol !== "bogus");
  assert.equal(known.length, 16);
  for (const { protocol, has, picks } of known) {
    const offered = endpoints({
      ...(has.ipv4 && { ipv4: record.ipv4 }),
      ...(has.ipv6 && { ipv6: record.ipv6 }),
    });
    const [picked] = selectEndpoints(offered, protocol as PeerProtocol);
    assert.equal(picked?.family ?? "error", picks, `${protocol} ${JSON.stringify(has)}`);
  }
});

test("openRecord() reads a record of STUNMESH-go", () => {
  const sealed = sealPlain('{"ipv4":"203.0.113.10:40001","ipv6":"[2001:db8:1:2:3:4:5:6]:40002"}');
  const record = openRecord(sealed, { ...fromA, privateKey: b.privateKey });
  assert.deepEqual(record, {
    endpoints: {
      ipv4: { family: "ipv4", host: "203.0.113.10", port: 40001 },
      ipv6: { family: "ipv6", host: "2001:db8:1:2:3:4:5:6", port: 40002 },
    },
  });
});

test("openRecord() reads what sealRecord() wrote, with sequence number and direction", () => {
  const own = endpoints({ ipv4: "203.0.113.10:40001" });
  const sealed = sealRecord({ endpoints: own, sequence: 1_700_000_000 }, { ...fromA, privateKey: a.privateKey });
  const record = openRecord(sealed, { ...fromA, privateKey: b.privateKey });
  assert.deepEqual(record, { endpoints: own, sequence: 1_700_000_000, isExtended: true });
});

test("openRecord() refuses a record of our own that was put in the peer's place", () => {
  const sealed = sealRecord(
    { endpoints: endpoints({ ipv4: "203.0.113.10:40001" }), sequence: 1 },
    { ...fromA, privateKey: a.privateKey },
  );
  // A reads it as if B had sent it: the box opens, its direction gives it away.
  assert.throws(
    () => openRecord(sealed, { senderKey: b.publicKey, receiverKey: a.publicKey, privateKey: a.privateKey }),
    (error) => errorCode(error) === "RECORD_REFLECTED",
  );
});

test("openRecord() refuses what is not a record, saying which member and why", () => {
  const bad: readonly (readonly [string, RegExp])[] = [
    ["", /not JSON/],
    ["{", /not JSON/],
    ["[]", /not a JSON object/],
    ["null", /not a JSON object/],
    ["[".repeat(20_000), /not JSON/],
    ['{"ipv4":7}', /"ipv4": it is not a string/],
    ['{"IPv4":7}', /"ipv4": it is not a string/],
    ['{"ipv4":"203.0.113.10"}', /"203.0.113.10" is not an IP address and a port/],
    ['{"ipv4":"203.0.113.10:0"}', /port from 1 to 65535/],
    ['{"ipv4":"203.0.113.10:65536"}', /port from 1 to 65535/],
    ['{"ipv4":"203.0.113.10:-1"}', /port from 1 to 65535/],
    ['{"ipv4":"example.com:51820"}', /is not an IP address/],
    ['{"ipv6":"2001:db8::1:51820"}', /is not an IP address/],
    ['{"ipv4":"[2001:db8::1]:51820"}', /other family/],
    ['{"ipv6":"203.0.113.10:51820"}', /other family/],
    ['{"ipv4":"0.0.0.0:51820"}', /unspecified/],
    ['{"ipv4":"127.0.0.1:51820"}', /loopback/],
    ['{"ipv4":"224.0.0.1:51820"}', /multicast/],
    ['{"ipv4":"255.255.255.255:51820"}', /reserved or broadcast/],
    ['{"ipv4":"169.254.1.1:51820"}', /link-local/],
    ['{"ipv6":"[::]:51820"}', /unspecified/],
    ['{"ipv6":"[::1]:51820"}', /loopback/],
    ['{"ipv6":"[ff02::1]:51820"}', /multicast/],
    ['{"ipv6":"[fe80::1]:51820"}', /link-local/],
    ['{"ipv6":"[fe80::1%eth0]:51820"}', /is not an IP address/],
    ['{"ipv4":"203.0.113.10:51820","seq":"new"}', /"seq": it is not a whole number/],
    ['{"ipv4":"203.0.113.10:51820","seq":-1}', /"seq"/],
    ['{"ipv4":"\\u001b[31m1.2.3.4\\n"}', /"\?\[31m1\.2\.3\.4\?"/],
  ];
  for (const [plain, message] of bad) {
    assert.throws(
      () => openRecord(sealPlain(plain), { ...fromA, privateKey: b.privateKey }),
      (error) => errorCode(error) === "RECORD_INVALID" && message.test(String(error)),
      plain.slice(0, 60),
    );
  }
});

test("openRecord() takes empty members as missing and ignores members it does not know", () => {
  const sealed = sealPlain('{"ipv4":"","ipv6":null,"version":9,"candidates":[1,2]}');
  assert.deepEqual(openRecord(sealed, { ...fromA, privateKey: b.privateKey }), { endpoints: {} });
});

test("sealRecord() leaves out its own members when the sealed text would be too long", () => {
  const short = endpoints({ ipv4: "203.0.113.10:40001" });
  const medium = endpoints({ ipv4: "203.0.113.10:40001", ipv6: "[2001:db8:1:2:3:4:5:6]:40002" });
  const longest = endpoints({
    ipv4: "255.255.255.255:65535",
    ipv6: "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
  });
  const seal = (own: EndpointRecord) =>
    sealRecord({ endpoints: own, sequence: 1_700_000_000 }, { ...fromA, privateKey: a.privateKey, maxChars: 255 });
  assert.match(plainOf(seal(short)), /"seq":1700000000,"dir":[01]/);
  assert.match(plainOf(seal(medium)), /^\{"ipv4":"[^"]*","ipv6":"[^"]*","dir":[01]\}$/);
  assert.equal(
    plainOf(seal(longest)),
    '{"ipv4":"255.255.255.255:65535","ipv6":"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"}',
  );
  assert.equal(seal(longest).length, 258);
});

test("sealRecord() tells how the own NAT maps, and leaves that out first", () => {
  const own = endpoints({ ipv4: "203.0.113.10:40001" });
  const seal = (maxChars?: number) =>
    plainOf(
      sealRecord(
        { endpoints: own, sequence: 1_700_000_000, nat: "eim" },
        { ...fromA, privateKey: a.privateKey, maxChars },
      ),
    );
  const full = seal();
  assert.match(full, /^\{"ipv4":"203\.0\.113\.10:40001","seq":1700000000,"dir":[01],"nat":"eim"\}$/);
  const chars = (text: string) => 2 * (40 + text.length);
  const shorter = full.replace(',"nat":"eim"', "");
  assert.equal(seal(chars(full)), full);
  assert.equal(seal(chars(full) - 1), shorter);
  assert.equal(seal(chars(shorter) - 1), shorter.replace(/"seq":\d+,/, ""));
});

test("openRecord() reads how the peer's NAT maps, and ignores what it does not know of it", () => {
  const read = (nat: string) =>
    openRecord(sealPlain(`{"ipv4":"203.0.113.10:1","nat":${nat}}`), { ...fromA, privateKey: b.privateKey }).nat;
  for (const known of ["eim", "dep", "none"] as const) assert.equal(read(JSON.stringify(known)), known);
  for (const unknown of ['"adf"', '"EIM"', "7", "null", "{}", '""']) assert.equal(read(unknown), undefined, unknown);
});

const nowMs = Date.UTC(2026, 5, 1);

test("checkFresh() refuses an older sequence number and takes the same one again", () => {
  const record = { endpoints: endpoints({ ipv4: "203.0.113.10:40001" }), sequence: 100 };
  assert.throws(
    () => checkFresh(record, { marks: { recordSequence: 101 }, nowMs }),
    (error) => errorCode(error) === "RECORD_ROLLED_BACK" && /100 is older than 101/.test(String(error)),
  );
  assert.doesNotThrow(() => checkFresh(record, { marks: { recordSequence: 100 }, nowMs }));
  assert.doesNotThrow(() => checkFresh(record, { marks: {}, nowMs }));
});

test("checkFresh() refuses a record without direction that carries our own address, and takes other old ones", () => {
  const own = endpoints({ ipv4: "203.0.113.10:40001" });
  assert.throws(
    () => checkFresh({ endpoints: own }, { marks: {}, nowMs, own }),
    (error) => errorCode(error) === "RECORD_REFLECTED",
  );
  const neighbour = endpoints({ ipv4: "203.0.113.10:40002" });
  assert.doesNotThrow(() => checkFresh({ endpoints: neighbour }, { marks: { recordSequence: 5 }, nowMs, own }));
});

test("checkFresh() refuses an endpoint that is the tunnel itself, and takes its neighbours", () => {
  const tunnel = ["10.99.0.1", "fd99::1"];
  for (const record of [{ ipv4: "10.99.0.1:51820" }, { ipv6: "[fd99:0::1]:9" }]) {
    assert.throws(
      () => checkFresh({ endpoints: endpoints(record) }, { marks: {}, nowMs, tunnel }),
      (error) => errorCode(error) === "RECORD_INVALID" && /address of the tunnel itself/.test(String(error)),
    );
  }
  // A host of the tunnel's network may be a host of the local network, which has a route of its own.
  assert.doesNotThrow(() =>
    checkFresh({ endpoints: endpoints({ ipv4: "10.99.0.11:51820" }) }, { marks: {}, nowMs, tunnel }),
  );
  assert.doesNotThrow(() => checkFresh({ endpoints: endpoints({ ipv4: "10.99.0.1:51820" }) }, { marks: {}, nowMs }));
});

test("openRecord() survives random and mutated values: a record or a RECORD_ error, nothing else", () => {
  const good = sealRecord(
    { endpoints: endpoints({ ipv4: "203.0.113.10:40001" }), sequence: 7 },
    { ...fromA, privateKey: a.privateKey },
  );
  for (let round = 0; round < 2_000; round++) {
    const bytes = Buffer.from(good);
    bytes[Math.floor(Math.random() * bytes.length)] = Math.floor(Math.random() * 256);
    const value = round % 2 === 0 ? bytes.toString("latin1") : nacl.randomBytes(round % 200).toString();
    if (value.toLowerCase() === good) continue;
    assert.throws(
      () => openRecord(value, { ...fromA, privateKey: b.privateKey }),
      (error) => errorCode(error) === "RECORD_UNREADABLE",
    );
  }
});

test("a record with members beyond STUNMESH-go's is told from one without, which may be one of ours that was too long", () => {
  const record = { endpoints: endpoints({ ipv4: "203.0.113.10:40001" }), sequence: 1 };
  const isExtended = (maxChars?: number) =>
    openRecord(sealRecord(record, { ...fromA, privateKey: a.privateKey, maxChars }), {
      ...fromA,
      privateKey: b.privateKey,
    }).isExtended;
  assert.equal(isExtended(), true);
  assert.equal(isExtended(160), true);
  assert.equal(isExtended(140), undefined);
});
