import assert from "node:assert/strict";
import { test } from "node:test";
import { decodeFrame, dlt, isKnownLinkType } from "../../../src/platform/pcap/link-frame.ts";
import { createRandom } from "../packets.ts";
import { answerV4, answerV6, frameOf, layers } from "./frames.ts";

const payload = new Uint8Array(20);
payload.set([0x21, 0x12, 0xa4, 0x42], 4);
const decodedV4 = {
  from: { family: "ipv4", host: "203.0.113.9", port: 3478 },
  to: { family: "ipv4", host: "192.0.2.1", port: 51820 },
  payload,
};
const decodedV6 = {
  from: { family: "ipv6", host: "2001:db8::7", port: 3478 },
  to: { family: "ipv6", host: "2001:db8::1", port: 51820 },
  payload,
};

for (const layer of layers) {
  test(`decodeFrame finds the datagram in ${layer.name}`, () => {
    assert.deepEqual(decodeFrame(frameOf(layer, answerV4()), layer.linkType), decodedV4);
    assert.deepEqual(decodeFrame(frameOf(layer, answerV4({ optionBytes: 40 })), layer.linkType), decodedV4);
    const frame = frameOf(layer, answerV6());
    const decoded = decodeFrame(frame, layer.linkType);
    frame.fill(0);
    assert.deepEqual(decoded, decodedV6, "a copy");
    const padded = Buffer.concat([frameOf(layer, answerV4()), Buffer.alloc(12)]);
    assert.deepEqual(decodeFrame(padded, layer.linkType), decodedV4, "with padding behind it");
  });

  test(`decodeFrame refuses every cut of a frame of ${layer.name}`, () => {
    for (const packet of [answerV4(), answerV6()]) {
      const frame = frameOf(layer, packet);
      for (let length = 0; length < frame.length; length++) {
        assert.equal(decodeFrame(frame.subarray(0, length), layer.linkType), undefined, `${length} bytes`);
      }
    }
  });
}

test("decodeFrame refuses other types, more tags than two, and link types it does not know", () => {
  const ethernet = layers.find(({ linkType }) => linkType === dlt.ethernet)!;
  const frame = frameOf(ethernet, answerV4());
  frame.set([0x08, 0x06], 12);
  assert.equal(decodeFrame(frame, dlt.ethernet), undefined);
  assert.equal(decodeFrame(Uint8Array.from([0xff, 3, 0xc0, 0x21, ...answerV4()]), dlt.ppp), undefined, "LCP");
  const tags = [0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 0x08, 0];
  const tagged = Uint8Array.from([...new Uint8Array(12), ...tags, ...answerV4()]);
  assert.equal(decodeFrame(tagged, dlt.ethernet), undefined);
  for (const unknown of [-1, 109, 117, 127, 9999]) {
    assert.equal(isKnownLinkType(unknown), false);
    assert.equal(decodeFrame(answerV4(), unknown), undefined);
  }
});

test("decodeFrame refuses fragments, other protocols and lengths that are not true", () => {
  for (const packet of [
    answerV4({ fragment: 0x2000 }),
    answerV4({ fragment: 1 }),
    answerV6({ protocol: 6 }),
    answerV6({ protocol: 44 }),
    answerV6().with(4, 0xff),
    answerV6().with(0, 0x50),
    answerV4().with(0, 0x44),
  ]) {
    assert.equal(decodeFrame(packet, dlt.raw), undefined);
  }
});

test("decodeFrame never throws, whatever the bytes", () => {
  const random = createRandom(7);
  const linkTypes = [...Object.values(dlt), 5, 117];
  const seeds = layers.flatMap((layer) => [frameOf(layer, answerV4()), frameOf(layer, answerV6())]);
  let decoded = 0;
  for (let round = 0; round < 100_000; round++) {
    const seed = seeds[random(seeds.length)]!;
    const bytes = seed.slice(0, random(4) === 0 ? random(seed.length) : seed.length);
    for (let changes = random(6); changes > 0; changes--) bytes[random(bytes.length || 1)] = random(256);
    if (decodeFrame(bytes, linkTypes[random(linkTypes.length)]!)) decoded++;
  }
  assert.ok(decoded > 1000 && decoded < 90_000, `${decoded} of them were datagrams`);
});
