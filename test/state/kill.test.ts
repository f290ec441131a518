/** Processes that write their memory as fast as they can, killed at any moment. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { openMemory } from "../../src/state/memory.ts";
import { createFakeLog } from "../fakes/log.ts";
import { createFakeRandom, type FakeRandom } from "../fakes/random.ts";
import { temporaryDirectory } from "../plugins/fixtures.ts";
import { builtModule } from "./built-module.ts";
import { deviceKey, keyText } from "./memories.ts";

const KILLS = 50;

/** Tells each sequence number that is on the disk, then goes on to the next. The size of the file changes all the time. */
function writer(directory: string): string {
  return `
    import { writeSync } from "node:fs";
    import { systemClock } from "${builtModule("clock")}";
    import { openMemory } from "${builtModule("state/memory")}";
    import { deviceKey, fullPeer, keyText } from "${new URL("./memories.js", import.meta.url)}";
    const log = { warn: console.error, info: console.error, debug: console.error };
    const memory = await openMemory({ directory: ${JSON.stringify(directory)}, interface: "wg0", clock: systemClock, log });
    let sequence = memory.load(deviceKey).get(keyText(0))?.sequence ?? 0;
    for (;;) {
      sequence++;
      const count = 1 + (sequence * 7919) % 300;
      memory.save(() => ({
        publicKey: deviceKey,
        peers: new Map(Array.from({ length: count }, (_, index) => [keyText(index), { ...fullPeer, sequence }])),
      }));
      await memory.flush();
      writeSync(1, sequence + "\\n");
    }
  `;
}

test(`memory file is whole, and never behind what was flushed, after ${KILLS} SIGKILLs of its writer`, async (t) => {
  // Half of the kills in a directory of its own, for the second core.
  const lanes = [1, 2].map(async (seed) => killWriters(await temporaryDirectory(t), { kills: KILLS / 2, seed }));
  const killedInAWrite = (await Promise.all(lanes)).reduce((sum, count) => sum + count);
  assert.ok(killedInAWrite > 0, "no kill came in the middle of a write");
});

/** Returns how many kills left a temporary file. */
async function killWriters(
  directory: string,
  { kills, seed }: { readonly kills: number; readonly seed: number },
): Promise<number> {
  const random = createFakeRandom(seed);
  let told = 0;
  let killedInAWrite = 0;
  for (let round = 0; round < kills; round++) {
    const { numbers, errors } = await killWriter(directory, random);
    assert.equal(errors, "");
    const [first = told + 1] = numbers;
    assert.ok(first > told, `${first} after ${told}`);
    told = numbers.at(-1) ?? told;
    if ((await readdir(directory)).length > 1) killedInAWrite++;
    const log = createFakeLog();
    const memory = await openMemory({ directory, interface: "wg0", clock: systemClock, log });
    const stored = memory.load(deviceKey).get(keyText(0))?.sequence ?? 0;
    assert.deepEqual(log.lines, []);
    assert.ok(stored >= told, `${stored} stored, ${told} told`);
    assert.deepEqual(await readdir(directory), ["wg0.json"]);
  }
  return killedInAWrite;
}

/** Runs a writer and kills it after some numbers, at a random moment of its next write. */
async function killWriter(directory: string, random: FakeRandom) {
  const child = spawn(process.execPath, ["--input-type=module", "--eval", writer(directory)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const wanted = 1 + random.integer(20);
  let output = "";
  let errors = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk;
    if (output.split("\n").length <= wanted || child.killed) return;
    // Shorter than any timer: a write takes a few milliseconds.
    const moment = performance.now() + random.next() * 4;
    while (performance.now() < moment);
    child.kill("SIGKILL");
  });
  child.stderr.on("data", (chunk: Buffer) => {
    errors += chunk;
  });
  const [, signal] = await once(child, "close");
  assert.equal(signal, "SIGKILL", errors);
  return { numbers: output.split("\n").slice(0, -1).map(Number), errors };
}
