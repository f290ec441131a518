import assert from "node:assert/strict";
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { readCode, writeCode } from "../src/compiled-code.ts";

const source = Buffer.from("the program");
const code = Buffer.from("what became of it");
const owner = process.getuid?.() ?? 0;
let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "stunmesh-code-"));
  path = join(directory, "program.cache");
});
afterEach(() => rmSync(directory, { recursive: true }));

test("readCode gives what writeCode wrote, for everybody to read, and nothing else is left", () => {
  const before = process.umask(0o077);
  try {
    writeCode(path, { code: Buffer.from("an older one"), source, owner });
    writeCode(path, { code, source, owner });
  } finally {
    process.umask(before);
  }
  assert.deepEqual(readCode(path, { source, owner }), code);
  assert.equal(statSync(path).mode & 0o777, 0o644);
  assert.deepEqual(readdirSync(directory), ["program.cache"]);
});

test("readCode gives nothing of a file that is missing, empty, cut or no file", () => {
  assert.equal(readCode(path, { source, owner }), undefined);
  writeCode(path, { code, source, owner });
  const whole = readFileSync(path);
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    assert.equal(readCode(path, { source, owner }), undefined, `${length} bytes`);
  }
  assert.equal(readCode(directory, { source, owner }), undefined);
});

test("readCode gives nothing when any bit is another", () => {
  writeCode(path, { code, source, owner });
  const whole = readFileSync(path);
  for (let bit = 0; bit < whole.length * 8; bit++) {
    const changed = Buffer.from(whole);
    changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    writeFileSync(path, changed);
    assert.equal(readCode(path, { source, owner }), undefined, `bit ${bit}`);
  }
});

test("readCode gives nothing for another program of the same length", () => {
  writeCode(path, { code, source, owner });
  assert.equal(readCode(path, { source: Buffer.from("the progran"), owner }), undefined);
});

test("readCode gives nothing that others may have written", () => {
  writeCode(path, { code, source, owner });
  for (const mode of [0o664, 0o646, 0o666]) {
    chmodSync(path, mode);
    assert.equal(readCode(path, { source, owner }), undefined, mode.toString(8));
  }
  chmodSync(path, 0o600);
  assert.deepEqual(readCode(path, { source, owner }), code);
  const link = join(directory, "link");
  symlinkSync(path, link);
  assert.equal(readCode(link, { source, owner }), undefined);
});

test("readCode and writeCode: the file belongs to root or to the owner of the program", () => {
  writeCode(path, { code, source, owner });
  if (owner === 0) {
    // Only root can give files away.
    chownSync(path, 65534, 65534);
    assert.equal(readCode(path, { source, owner }), undefined);
    assert.deepEqual(readCode(path, { source, owner: 65534 }), code);
  } else {
    assert.equal(readCode(path, { source, owner: owner + 1 }), undefined);
    assert.throws(() => writeCode(path, { code, source, owner: owner + 1 }), /another user/);
  }
  assert.deepEqual(readdirSync(directory), ["program.cache"]);
});

test("writeCode leaves nothing behind when it cannot write", () => {
  const target = join(directory, "folder");
  symlinkSync("nowhere", `${target}.${process.pid}`);
  assert.throws(() => writeCode(target, { code, source, owner }), { code: "EEXIST" });
});
