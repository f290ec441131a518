import assert from "node:assert/strict";
import { test } from "node:test";
import nacl from "tweetnacl";
import { derivePublicKey, formatPublicKey, isNoKey, parseBase64Key, parseHexKey } from "../../src/wg/key.ts";
import { createFakeRandom } from "../fakes/random.ts";

test("derivePublicKey gives what wg(8) gives", () => {
  const privateKey = Buffer.from("oJBfZ+R4II7AwKIKniGFPTJUkVzx1pi6BuyglvEN5Go=", "base64");
  assert.equal(formatPublicKey(derivePublicKey(privateKey)), "JQCVPz/jgQxPNNImZYuBDMJVnUJKtOWZ3ZCphwGQewg=");
});

test("derivePublicKey agrees with another implementation, for keys that are not clamped too", () => {
  const random = createFakeRandom(7);
  for (let round = 0; round < 50; round++) {
    const privateKey = random.bytes(32);
    assert.deepEqual(derivePublicKey(privateKey), nacl.scalarMult.base(privateKey));
  }
});

test("parseBase64Key takes the base64 of 32 bytes and nothing else", () => {
  const bytes = createFakeRandom(3).bytes(32);
  const text = formatPublicKey(bytes);
  assert.deepEqual(parseBase64Key(text), bytes);
  for (const wrong of [
    "",
    text.slice(0, -1),
    `${text}=`,
    ` ${text}`,
    `${text}\n`,
    `-${text.slice(1)}`,
    `${"A".repeat(42)}B=`,
  ]) {
    assert.equal(parseBase64Key(wrong), undefined, JSON.stringify(wrong));
  }
});

test("parseHexKey takes 64 digits and nothing else", () => {
  const bytes = createFakeRandom(3).bytes(32);
  const text = Buffer.from(bytes).toString("hex");
  assert.deepEqual(parseHexKey(text), bytes);
  assert.deepEqual(parseHexKey(text.toUpperCase()), bytes);
  for (const wrong of ["", text.slice(1), `${text}0`, `${text}\n`, `g${text.slice(1)}`]) {
    assert.equal(parseHexKey(wrong), undefined, JSON.stringify(wrong));
  }
});

test("isNoKey is true for zeros only", () => {
  assert.equal(isNoKey(new Uint8Array(32)), true);
  assert.equal(isNoKey(new Uint8Array(32).with(31, 1)), false);
});
