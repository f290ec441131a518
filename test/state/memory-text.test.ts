import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { decodeMemory, encodeMemory, MAX_MEMORY_BYTES, MAX_PEERS } from "../../src/state/memory-text.ts";
import { createFakeRandom } from "../fakes/random.ts";
import { mutate } from "../wg/mutate.ts";
import { at, deviceKey, fullPeer, keyText, memories, peersOf } from "./memories.ts";

test("memory text is one line of JSON, as it is documented", () => {
  const text = encodeMemory({ publicKey: deviceKey, peers: peersOf({ 1: fullPeer }) });
  const content =
    `{"version":1,"publicKey":"${keyText(0)}","peers":{"${keyText(1)}":{"sequence":1790000000,` +
    '"recordSequence":1790000123,"record":{"ipv4":"192.0.2.7:51820","ipv6":"[2001:db8::7]:51820"},' +
    '"worked":"[2001:db8::7]:51820"}}}';
  const sha256 = createHash("sha256").update(content).digest("hex");
  assert.equal(text, `${content.slice(0, -1)},"sha256":"${sha256}"}\n`);
});

test("memory text gives back what was put in", () => {
  assert.deepEqual(decodeMemory(encodeMemory(memories)), memories);
  const empty = { publicKey: deviceKey, peers: peersOf({}) };
  assert.deepEqual(decodeMemory(encodeMemory(empty)), empty);
});

test("memory text leaves out peers of which nothing is known", () => {
  const peers = peersOf({ 1: {}, 2: { sequence: undefined, record: undefined }, 3: { sequence: 5 } });
  assert.deepEqual(decodeMemory(encodeMemory({ publicKey: deviceKey, peers })).peers, peersOf({ 3: { sequence: 5 } }));
});

test("memory text has no secrets, whatever else hangs on what is given to it", () => {
  const secret = "SECRET-SECRET";
  const memory = {
    publicKey: deviceKey,
    privateKey: secret,
    peers: new Map([
      [
        keyText(1),
        {
          ...fullPeer,
          record: { ...fullPeer.record, sealed: secret },
          worked: { ...fullPeer.worked, token: secret },
          config: { presharedKey: secret, plugin: secret },
          published: { endpoints: {}, secret },
        },
      ],
    ]),
  };
  const text = encodeMemory(memory);
  assert.doesNotMatch(text, /SECRET/);
  assert.deepEqual(Object.keys(JSON.parse(text)), ["version", "publicKey", "peers", "sha256"]);
});

test("memory text of the most and longest peers can be read again", () => {
  const address = { ipv4: at("255.255.255.255:65535"), ipv6: at(`[${"ffff:".repeat(7)}ffff]:65535`) };
  const sequence = Number.MAX_SAFE_INTEGER;
  const peer = { sequence, recordSequence: sequence, record: address, worked: address.ipv6 };
  const entries = Array.from({ length: MAX_PEERS }, (_, index) => [keyText(index), peer] as const);
  const text = encodeMemory({ publicKey: deviceKey, peers: new Map(entries) });
  assert.ok(Buffer.byteLength(text) <= MAX_MEMORY_BYTES, `${Buffer.byteLength(text)} bytes`);
  assert.equal(decodeMemory(text).peers.size, MAX_PEERS);
  const more = new Map([...entries, [keyText(MAX_PEERS), peer] as const]);
  assert.throws(() => decodeMemory(encodeMemory({ publicKey: deviceKey, peers: more })), /member "peers"/);
});

/** A text with `members` in place of the good ones and the right checksum for them. */
function withMembers(members: Readonly<Record<string, unknown>>): string {
  const { sha256: _, ...good } = JSON.parse(encodeMemory(memories)) as Record<string, unknown>;
  const content = { ...good, ...members };
  const sha256 = createHash("sha256").update(JSON.stringify(content)).digest("hex");
  return JSON.stringify({ ...content, sha256 });
}

const withPeer = (peer: unknown) => withMembers({ peers: { [keyText(1)]: peer } });

test("memory text is accepted with its own checksum, so that the next test is about what it says", () => {
  assert.deepEqual(decodeMemory(withMembers({})), memories);
  assert.equal(decodeMemory(withPeer({ sequence: 7 })).peers.get(keyText(1))?.sequence, 7);
});

test("memory text that is not as it should be is refused, with a reason", () => {
  const good = encodeMemory(memories);
  const peerMember = (member: string) => new RegExp(`^member "peers\\.[^ ]*\\.${member}" is not what it should be$`);
  const cases: readonly (readonly [string, RegExp])[] = [
    ["", /^it is not JSON$/],
    [good.slice(0, -20), /^it is not JSON$/],
    [good + good, /^it is not JSON$/],
    ["[".repeat(100_000), /^it is not JSON$/],
    ["\0".repeat(4096), /^it is not JSON$/],
    ["null", /^it is not what it should be$/],
    ["[]", /^it is not what it should be$/],
    ['"text"', /^it is not what it should be$/],
    [`${"[".repeat(5000)}${"]".repeat(5000)}`, /^it is not what it should be$/],
    [withMembers({ version: 2 }), /^its version is 2, not 1$/],
    [withMembers({ version: "1" }), /^member "version"/],
    [withMembers({ extra: 1 }), /^it is not what it should be$/],
    [withMembers({ publicKey: "short" }), /^member "publicKey"/],
    [withMembers({ publicKey: undefined }), /^member "publicKey"/],
    [withMembers({ peers: [] }), /^member "peers"/],
    [withMembers({ peers: { office: {} } }), /^member "peers\.office"/],
    [withMembers({ peers: { [`\u001b[31m${"x".repeat(500)}`]: {} } }), /^member "peers\.\?\[31mx{50,}" is/],
    [withPeer(5), /^member "peers\./],
    [withPeer({ privateKey: "x" }), /^member "peers\./],
    [withPeer({ sequence: -1 }), peerMember("sequence")],
    [withPeer({ sequence: 1.5 }), peerMember("sequence")],
    [withPeer({ sequence: 2 ** 53 }), peerMember("sequence")],
    [withPeer({ recordSequence: "5" }), peerMember("recordSequence")],
    [withPeer({ record: { ipv4: "[2001:db8::7]:1" } }), peerMember("record\\.ipv4")],
    [withPeer({ record: { ipv6: "192.0.2.1:1" } }), peerMember("record\\.ipv6")],
    [withPeer({ record: { ipv5: "192.0.2.1:1" } }), peerMember("record")],
    [withPeer({ worked: "example.org:1" }), peerMember("worked")],
    [withPeer({ worked: "192.0.2.1:0" }), peerMember("worked")],
    [withPeer({ worked: null }), peerMember("worked")],
    [withMembers({}).replace("1790000123", "9790000123"), /^its checksum is wrong$/],
    [withMembers({}).replace(/"sha256":"[^"]+"/, '"sha256":""'), /^its checksum is wrong$/],
    [`{"__proto__":{"version":1},"version":1}`, /^it is not|^member/],
  ];
  for (const [text, why] of cases) assert.throws(() => decodeMemory(text), { message: why }, text.slice(0, 200));
});

test("memory text after 2,000 random changes is refused or says the same", () => {
  const random = createFakeRandom(20);
  const good = Buffer.from(encodeMemory(memories));
  let refused = 0;
  for (let round = 0; round < 2000; round++) {
    const text = mutate(good, random).toString("utf8");
    let decoded: unknown;
    try {
      decoded = decodeMemory(text);
    } catch (error) {
      assert.match((error as Error).message, /^(it|its|member) /, text);
      refused++;
      continue;
    }
    assert.deepEqual(decoded, memories, text);
  }
  assert.ok(refused > 1500, `${refused} refused`);
});
