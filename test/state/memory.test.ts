import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { nextSequence } from "../../src/sequence.ts";
import { type Memory, openMemory } from "../../src/state/memory.ts";
import { decodeMemory, encodeMemory, MAX_MEMORY_BYTES } from "../../src/state/memory-text.ts";
import { readPrivateFile } from "../../src/state/private-file.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { createFakeLog } from "../fakes/log.ts";
import { createFakeRandom } from "../fakes/random.ts";
import { waitFor } from "../lab/wait.ts";
import { temporaryDirectory } from "../plugins/fixtures.ts";
import { deviceKey, fullPeer, keyBytes, keyText, memories, peersOf } from "./memories.ts";

async function openIn(directory: string) {
  const clock = createFakeClock();
  const log = createFakeLog();
  const memory = await openMemory({ directory, interface: "wg0", clock, log });
  return { memory, clock, log, path: join(directory, "wg0.json") };
}

/** Saves sequence number `sequence` of peer 1; the result counts how often it was asked for, which is how often it was written. */
function saveSequence(memory: Memory, sequence: number): { readonly taken: number } {
  const count = { taken: 0 };
  memory.save(() => {
    count.taken++;
    return { publicKey: deviceKey, peers: peersOf({ 1: { sequence } }) };
  });
  return count;
}

async function storedSequence(directory: string): Promise<number | undefined> {
  // Not with openMemory(), which removes temporary files.
  const text = await readPrivateFile(join(directory, "wg0.json"), MAX_MEMORY_BYTES);
  return text === undefined ? undefined : decodeMemory(text).peers.get(keyText(1))?.sequence;
}

test("memory is there again after a restart", async (t) => {
  const directory = await temporaryDirectory(t);
  const first = await openIn(directory);
  assert.equal(first.memory.load(deviceKey).size, 0);
  first.memory.save(() => memories);
  await first.memory.close();
  assert.equal((await stat(first.path)).mode & 0o7777, 0o600);
  const second = await openIn(directory);
  assert.deepEqual(second.memory.load(deviceKey), memories.peers);
  assert.deepEqual([...first.log.lines, ...second.log.lines], []);
  assert.deepEqual(await readdir(directory), ["wg0.json"]);
});

test("memory that is loaded is what was saved last, not what the file had when it was opened", async (t) => {
  const { memory } = await openIn(await temporaryDirectory(t));
  saveSequence(memory, 1);
  assert.equal(memory.load(deviceKey).get(keyText(1))?.sequence, 1);
  await memory.flush();
  saveSequence(memory, 2);
  assert.equal(memory.load(deviceKey).get(keyText(1))?.sequence, 2);
  assert.equal(memory.load(keyBytes(9)).size, 0);
  await memory.close();
});

test("of a peer that is gone the numbers stay, here and on the disk, and nothing else", async (t) => {
  const directory = await temporaryDirectory(t);
  const numbers = { sequence: 5, recordSequence: 6, aheadSequence: 4_000_000_000 };
  const before = peersOf({ 1: { sequence: 1 }, 2: { ...fullPeer, ...numbers } });
  const first = await openIn(directory);
  first.memory.save(() => ({ publicKey: deviceKey, peers: before }));
  await first.memory.close();
  // As `publish` does for one peer of many.
  const second = await openIn(directory);
  saveSequence(second.memory, 3);
  await second.memory.close();
  const third = await openIn(directory);
  assert.deepEqual(third.memory.load(deviceKey), peersOf({ 1: { sequence: 3 }, 2: numbers }));
  // Those of another device key say nothing about this one.
  third.memory.save(() => ({ publicKey: keyBytes(9), peers: peersOf({ 1: { sequence: 3 } }) }));
  assert.deepEqual(third.memory.load(keyBytes(9)), peersOf({ 1: { sequence: 3 } }));
  await third.memory.close();
});

test("peers that are gone have to leave room for those that are there", async (t) => {
  const { memory } = await openIn(await temporaryDirectory(t));
  const many = (from: number, count: number) =>
    peersOf(Object.fromEntries(Array.from({ length: count }, (_, index) => [from + index, { sequence: index }])));
  for (const [from, count] of [
    [0, 9_000],
    [9_000, 2_000],
    [20_000, 10_000],
  ] as const) {
    memory.save(() => ({ publicKey: deviceKey, peers: many(from, count) }));
    const now = memory.load(deviceKey);
    assert.ok(now.size <= 10_000, String(now.size));
    assert.ok([...many(from, count).keys()].every((key) => now.has(key)));
  }
  await memory.close();
});

test("memory of another device key is ignored, stays where it is and is then replaced", async (t) => {
  const directory = await temporaryDirectory(t);
  await writeFile(join(directory, "wg0.json"), encodeMemory({ ...memories, publicKey: keyBytes(9) }), { mode: 0o600 });
  const { memory, log } = await openIn(directory);
  assert.equal(memory.load(deviceKey).size, 0);
  assert.equal(memory.load(keyBytes(9)).size, memories.peers.size);
  assert.equal(log.find("memory ignored", "debug").length, 1);
  assert.deepEqual(await readdir(directory), ["wg0.json"]);
  saveSequence(memory, 5);
  await memory.close();
  assert.equal(await storedSequence(directory), 5);
});

test("memory is written at once, then at most every 5 s, and the last save wins", async (t) => {
  const directory = await temporaryDirectory(t);
  const { memory, clock, path } = await openIn(directory);
  const first = saveSequence(memory, 1);
  await clock.advance(0);
  await waitFor(async () => (await storedSequence(directory)) === 1, { what: "sequence 1" });
  const superseded = [2, 3, 4].map((sequence) => saveSequence(memory, sequence));
  await clock.advance(4_999);
  const last = saveSequence(memory, 5);
  assert.match(await readFile(path, "utf8"), /"sequence":1\b/);
  assert.deepEqual([first.taken, last.taken], [1, 0]);
  await clock.advance(1);
  await waitFor(async () => (await storedSequence(directory)) === 5, { what: "sequence 5" });
  await clock.advance(60_000);
  assert.deepEqual(
    superseded.map(({ taken }) => taken),
    [0, 0, 0],
  );
  assert.equal(last.taken, 1);
  await memory.close();
});

test("memory that has not changed is not written again", async (t) => {
  const directory = await temporaryDirectory(t);
  const { memory, path } = await openIn(directory);
  saveSequence(memory, 1);
  await memory.flush();
  const { ino, mtimeNs } = await stat(path, { bigint: true });
  for (let round = 0; round < 3; round++) {
    saveSequence(memory, 1);
    await memory.flush();
  }
  const after = await stat(path, { bigint: true });
  assert.deepEqual([after.ino, after.mtimeNs], [ino, mtimeNs]);
  await memory.close();
});

test("flush resolves when all that was saved is on the disk, in as few writes as possible", async (t) => {
  const directory = await temporaryDirectory(t);
  const { memory } = await openIn(directory);
  let sequence = 0;
  let taken = 0;
  const publishers = Array.from({ length: 1000 }, async () => {
    const own = ++sequence;
    memory.save(() => {
      taken++;
      return { publicKey: deviceKey, peers: peersOf({ 1: { sequence } }) };
    });
    await memory.flush();
    return own;
  });
  const late = (async () => {
    await Promise.race(publishers);
    saveSequence(memory, 2000);
    await memory.flush();
    assert.equal(await storedSequence(directory), 2000);
  })();
  const published = await Promise.all(publishers);
  await late;
  assert.equal(published.length, 1000);
  assert.ok(taken <= 3, `${taken} writes`);
  await memory.close();
});

test("flush and close without anything saved write nothing", async (t) => {
  const directory = await temporaryDirectory(t);
  const { memory } = await openIn(directory);
  await memory.flush();
  await memory.close();
  await memory.close();
  const afterClose = saveSequence(memory, 1);
  await memory.flush();
  assert.equal(afterClose.taken, 0);
  assert.deepEqual(await readdir(directory), []);
});

test("close writes what waits and leaves no timer", async (t) => {
  const directory = await temporaryDirectory(t);
  const { memory, clock } = await openIn(directory);
  saveSequence(memory, 1);
  await memory.flush();
  saveSequence(memory, 2);
  await memory.close();
  assert.equal(await storedSequence(directory), 2);
  assert.equal(clock.sleeping, 0);
});

test("own sequence numbers only grow, with crashes at any moment and clocks that come back earlier", async (t) => {
  const directory = await temporaryDirectory(t);
  const random = createFakeRandom(7);
  let clockMs = Date.UTC(2026, 9, 1);
  let highest = 0;
  let published = 0;
  for (let life = 0; life < 60; life++) {
    const { memory } = await openIn(directory);
    let previous = memory.load(deviceKey).get(keyText(1))?.sequence;
    for (let turn = random.integer(5); turn > 0; turn--) {
      clockMs += random.integer(2) === 0 ? random.integer(3_000) : random.integer(86_400_000);
      const sequence = nextSequence(clockMs, previous);
      if (sequence === undefined) continue;
      previous = sequence;
      memory.save(() => ({ publicKey: deviceKey, peers: peersOf({ 1: { sequence } }) }));
      const flushed = memory.flush();
      // A crash in the middle of a write is the business of kill.test.ts; here it comes before or after.
      await flushed;
      assert.ok(sequence > highest, `${sequence} after ${highest}`);
      highest = sequence;
      published++;
    }
    // The crash: nothing is closed. Back comes a clock that was never set, is hours late, or right.
    clockMs = [0, clockMs - random.integer(86_400_000), clockMs][random.integer(3)] ?? clockMs;
  }
  assert.ok(published > 50, `${published} published`);
});

interface BadFile {
  readonly name: string;
  readonly reason: RegExp;
  make(path: string, directory: string): Promise<unknown>;
}

const good = encodeMemory(memories);
const write = (text: string | Uint8Array) => (path: string) => writeFile(path, text, { mode: 0o600 });
const withMode = (mode: number) => async (path: string) => {
  await write(good)(path);
  await chmod(path, mode);
};

const badFiles: readonly BadFile[] = [
  { name: "an empty file", reason: /^it is not JSON$/, make: write("") },
  { name: "zeros, as after a power failure", reason: /^it is not JSON$/, make: write(Buffer.alloc(4096)) },
  { name: "the first half", reason: /^it is not JSON$/, make: write(good.slice(0, good.length / 2)) },
  { name: "without the last two bytes", reason: /^it is not JSON$/, make: write(good.slice(0, -2)) },
  { name: "twice", reason: /^it is not JSON$/, make: write(good + good) },
  { name: "random bytes", reason: /^it is not JSON$/, make: write(createFakeRandom(1).bytes(5000)) },
  { name: "another program's file", reason: /^it is not what it should be$/, make: write("[1, 2, 3]") },
  { name: "a later version", reason: /^its version is 2, not 1$/, make: write(good.replace(":1,", ":2,")) },
  { name: "without a version", reason: /^member "version" /, make: write(good.replace('"version":1,', "")) },
  { name: "another key's checksum", reason: /^its checksum/, make: write(good.replace(keyText(0), keyText(9))) },
  { name: "a wrong digit", reason: /^its checksum is wrong$/, make: write(good.replace("1790000123", "1790000124")) },
  {
    name: "a peer less",
    reason: /^its checksum is wrong$/,
    make: write(good.replace(/,"[^"]+":\{"sequence":0\}/, "")),
  },
  { name: "a bad peer key", reason: /^member "peers\./, make: write(good.replace(keyText(2), "office")) },
  { name: "a bad address", reason: /^member "peers\..*worked"/, make: write(good.replace('"127.0.0.1:', '"local:')) },
  { name: "UTF-16", reason: /^it is not JSON$/, make: write(Buffer.from(good, "utf16le")) },
  { name: "too large", reason: /^it has more than 4096 KiB$/, make: write(" ".repeat(MAX_MEMORY_BYTES + 1)) },
  { name: "writable by all", reason: /^others may write to it$/, make: withMode(0o666) },
  { name: "writable by the group", reason: /^others may write to it$/, make: withMode(0o660) },
  { name: "a directory", reason: /^it is not a regular file$/, make: (path) => mkdir(path) },
  {
    name: "a symbolic link to a good file",
    reason: /^it is a symbolic link$/,
    async make(path, directory) {
      await write(good)(join(directory, "elsewhere"));
      await symlink(join(directory, "elsewhere"), path);
    },
  },
  { name: "a dangling link", reason: /^it is a symbolic link$/, make: (path) => symlink("nowhere", path) },
  {
    name: "a link to an endless device",
    reason: /^it is a symbolic link$/,
    make: (path) => symlink("/dev/zero", path),
  },
  { name: "a FIFO", reason: /^it is not a regular file$/, make: async (path) => execFileSync("mkfifo", [path]) },
];

for (const { name, reason, make } of badFiles) {
  test(`memory file that is bad (${name}) is set aside with one warning`, async (t) => {
    const directory = await temporaryDirectory(t);
    const path = join(directory, "wg0.json");
    await writeFile(`${path}.bad`, "an older one");
    // rename(2) puts a directory only in the place of a directory.
    if (name === "a directory") await rm(`${path}.bad`);
    await make(path, directory);
    const { memory, log } = await openIn(directory);
    assert.equal(memory.load(deviceKey).size, 0);
    assert.equal(log.lines.length, 1);
    const [line] = log.find("memory not usable, set aside", "warn");
    assert.equal(line?.path, path);
    assert.match(line?.reason ?? "", reason);
    const names = await readdir(directory);
    assert.ok(names.includes("wg0.json.bad") && !names.includes("wg0.json"), names.join());
    saveSequence(memory, 7);
    await memory.close();
    assert.equal(await storedSequence(directory), 7);
    assert.equal(log.lines.length, 1);
  });
}

test("memory file that cannot be set aside is not used either", async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, "wg0.json");
  await writeFile(path, "");
  await mkdir(join(`${path}.bad`, "inside"), { recursive: true });
  const { memory, log } = await openIn(directory);
  assert.equal(memory.load(deviceKey).size, 0);
  assert.match(log.find("memory not usable", "warn")[0]?.reason ?? "", /^it is not JSON; not set aside: Error: EISDIR/);
  saveSequence(memory, 7);
  await memory.close();
  assert.equal(await storedSequence(directory), 7);
});

test("memory that cannot be written is warned about once, tried again, and said to be well when it is", async (t) => {
  const directory = await temporaryDirectory(t);
  const { memory, log } = await openIn(directory);
  await rename(directory, `${directory}.away`);
  t.after(() => rm(`${directory}.away`, { recursive: true, force: true }));
  for (const sequence of [1, 2, 3]) {
    saveSequence(memory, sequence);
    await memory.flush();
  }
  assert.equal(log.find("memory not written", "warn").length, 1);
  assert.equal(log.find("memory not written", "debug").length, 2);
  const [warning] = log.find("memory not written", "warn");
  assert.equal(warning?.code, "STATE_UNAVAILABLE");
  assert.match(warning?.err ?? "", /^Cannot write ".*wg0\.json": ENOENT: no such file or directory/);
  await rename(`${directory}.away`, directory);
  // What could not be written is not forgotten, also when nothing is saved any more.
  await memory.close();
  assert.equal(await storedSequence(directory), 3);
  assert.equal(log.find("memory is written again", "info").length, 1);
  assert.equal(log.lines.length, 4);
});

test("memory whose directory became a file neither fails nor stops its owner", async (t) => {
  const directory = join(await temporaryDirectory(t), "state");
  await mkdir(directory);
  const { memory, clock, log } = await openIn(directory);
  await rm(directory, { recursive: true });
  await writeFile(directory, "");
  saveSequence(memory, 1);
  await clock.advance(5_000);
  await waitFor(async () => log.find("memory not written", "warn").length === 1, { what: "a warning" });
  await memory.close();
  assert.match(log.find("memory not written")[0]?.err ?? "", /ENOTDIR/);
});

test("memory with a `take` that throws warns and lives on", async (t) => {
  const directory = await temporaryDirectory(t);
  const { memory, log } = await openIn(directory);
  memory.save(() => {
    throw new RangeError("no peers today");
  });
  await memory.flush();
  assert.match(log.find("memory not written", "warn")[0]?.err ?? "", /no peers today/);
  saveSequence(memory, 2);
  await memory.close();
  assert.equal(await storedSequence(directory), 2);
});

test("memory of several interfaces has a file each", async (t) => {
  const directory = await temporaryDirectory(t);
  for (const name of ["wg0", "wg0.json", "wg0.json.bad"]) {
    const log = createFakeLog();
    const memory = await openMemory({ directory, interface: name, clock: createFakeClock(), log });
    assert.equal(memory.load(deviceKey).size, 0);
    memory.save(() => memories);
    await memory.close();
    assert.deepEqual(log.lines, []);
  }
  assert.deepEqual((await readdir(directory)).sort(), ["wg0.json", "wg0.json.bad.json", "wg0.json.json"]);
});

test("flush does not wait for a disk that does not answer", async (t) => {
  const directory = await temporaryDirectory(t);
  const { memory, clock, log } = await openIn(directory);
  // No disk here ever hangs: this one has 3 MB to write and no time.
  const peers = new Map(Array.from({ length: 10_000 }, (_, index) => [keyText(index), fullPeer] as const));
  memory.save(() => ({ publicKey: deviceKey, peers }));
  const flushed = memory.flush();
  await clock.advance(2_000);
  await flushed;
  const [warning] = log.find("memory not written", "warn");
  assert.match(warning?.err ?? "", /^Cannot write ".*wg0\.json": Cannot write to the disk: no answer within 2 s$/);
  await waitFor(() => log.find("memory is written again", "info").length === 1, { what: "the end of the write" });
  await memory.close();
  assert.equal((await openIn(directory)).memory.load(deviceKey).size, 10_000);
});
