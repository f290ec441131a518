/** What the program does to its own process before anything else. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { createKeyPair } from "../fakes/wg-device.ts";
import { buildProgram, type Program, type Result } from "./program.ts";

let program: Program;
before(() => {
  program = buildProgram();
});
after(() => program.close());

/** A store that notes its umask and sends its parent, the program, SIGUSR1. */
const script = `. /dev/stdin
umask > "$0/umask"
kill -USR1 $PPID
case $STUNMESH_ACTION in
  set) printf %s "$STUNMESH_VALUE" > "$0/$STUNMESH_KEY" ;;
  get) cat "$0/$STUNMESH_KEY" ;;
esac
`;

/** Runs `store test` as somebody would whose umask lets everybody read and write. */
async function testStore(plugin: object): Promise<Result> {
  const peer = { public_key: createKeyPair().publicKey };
  const config = { interfaces: { nowg9: { peers: { peer } } }, plugins: { own: plugin } };
  const path = program.write("process.yaml", JSON.stringify(config));
  const before = process.umask(0);
  const { ended } = program.start(["store", "test", "own", "-c", path]);
  process.umask(before);
  return ended;
}

test("programs of plugins start with umask 077, and SIGUSR1 opens no debugger", async () => {
  const { status, stdout, stderr } = await testStore({
    type: "shell",
    command: "sh",
    args: ["-c", script, program.dir],
  });
  assert.equal(status, 0, stdout + stderr);
  assert.equal(readFileSync(join(program.dir, "umask"), "utf8"), "0077\n");
  assert.doesNotMatch(stderr, /debugger/i);
});

test("the directory and the files of the plugin file are for their owner alone", async () => {
  const path = join(program.dir, "store");
  const { status, stdout, stderr } = await testStore({ type: "file", path });
  assert.equal(status, 0, stdout + stderr);
  const made = [path, ...readdirSync(path).map((name) => join(path, name))];
  assert.ok(made.length >= 2);
  for (const name of made) assert.equal(statSync(name).mode & 0o077, 0, name);
});
