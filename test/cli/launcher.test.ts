/** The launcher, as it is installed: what it does with the compiled program, and what it hands to the program. */
import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { version } from "../../src/version.ts";
import { createKeyPair } from "../fakes/wg-device.ts";
import { buildProgram, type Program } from "./program.ts";

let program: Program;
let path: string;
before(() => {
  program = buildProgram();
  path = join(program.dir, "program.cache");
});
after(() => program.close());
beforeEach(() => rmSync(path, { force: true }));

async function assertRuns(options: Parameters<Program["run"]>[1] = {}): Promise<void> {
  assert.deepEqual(await program.run(["--version"], options), { status: 0, stdout: `${version}\n`, stderr: "" });
}

async function compile(): Promise<Buffer> {
  assert.deepEqual(await program.run(["compile"]), { status: 0, stdout: "", stderr: "" });
  return readFileSync(path);
}

test("compile saves the program for everybody, and leaves what is right as it is", async () => {
  await assertRuns();
  assert.equal(existsSync(path), false);
  await compile();
  assert.equal(statSync(path).mode & 0o777, 0o644);
  // Who uses it has no reason to write another.
  utimesSync(path, 1, 1);
  await compile();
  assert.equal(statSync(path).mtimeMs, 1000);
  await assertRuns({ unprivileged: true });
});

test("a compiled program that is cut, broken or of other options is not used, and compile makes a new one", async () => {
  const whole = await compile();
  const broken = Buffer.from(whole);
  // Without a checksum some of these are the end of the process: V8 checks nothing.
  for (let at = 64; at < broken.length; at += 64) broken.writeUInt8(broken.readUInt8(at) ^ 0x10, at);
  for (const content of [whole.subarray(0, whole.length / 2), broken, Buffer.alloc(0)]) {
    writeFileSync(path, content);
    await assertRuns();
    const made = await compile();
    assert.notDeepEqual(made, content);
  }
  utimesSync(path, 1, 1);
  assert.equal((await program.run(["compile"], { env: { NODE_OPTIONS: "--jitless" } })).status, 0);
  assert.notEqual(statSync(path).mtimeMs, 1000);
});

test("compile says why it cannot save", async () => {
  chmodSync(program.dir, 0o555);
  try {
    const { status, stderr } = await program.run(["compile"], { unprivileged: true });
    assert.equal(status, 77);
    assert.match(stderr, /^stunmesh-ts: Cannot save the compiled program: .+\n$/);
  } finally {
    chmodSync(program.dir, 0o755);
  }
});

test("a SIGHUP that comes while the program is loaded does not end the daemon", async () => {
  // Sent by the process itself, at the moment when the launcher reads the program.
  const preload = program.write(
    "hangup.cjs",
    `const fs = require("node:fs"), read = fs.readFileSync;
    fs.readFileSync = (file, ...rest) => {
      if (String(file).endsWith("program.cjs")) process.kill(process.pid, "SIGHUP");
      return read(file, ...rest);
    };
    require("node:module").syncBuiltinESMExports();`,
  );
  const config = {
    stun: { address: "127.0.0.1:3478" },
    interfaces: { nowg9: { peers: { peer: { public_key: createKeyPair().publicKey } } } },
    plugins: { own: { type: "file", path: join(program.dir, "store") } },
  };
  const file = program.write("hangup.yaml", JSON.stringify(config));
  const daemon = program.start(["run", "--config", file], { env: { NODE_OPTIONS: `--require ${preload}` } });
  await daemon.said(/started/);
  daemon.child.kill("SIGTERM");
  assert.equal((await daemon.ended).status, 0);
});

test("a store of type module is loaded without a warning, compiled or not", async () => {
  const store = program.write(
    "store.mjs",
    "await 0; const kept = new Map(); export default () => ({ get: async (key) => kept.get(key), set: async (key, value) => void kept.set(key, value) });",
  );
  const peer = { public_key: createKeyPair().publicKey };
  const stun = { address: "127.0.0.1:3478" };
  const config = {
    stun,
    interfaces: { nowg9: { peers: { peer } } },
    plugins: { own: { type: "module", path: store } },
  };
  const file = program.write("launcher.yaml", JSON.stringify(config));
  for (const isCompiled of [false, true]) {
    if (isCompiled) await compile();
    const { status, stdout, stderr } = await program.run(["store", "test", "own", "-c", file]);
    assert.equal(status, 0, stdout + stderr);
    assert.equal(stderr, "");
  }
});
