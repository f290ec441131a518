/** The commands that ask the daemon, without one that answers. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { chmodSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { buildProgram, type Program } from "./program.ts";

describe("commands that ask the daemon", { concurrency: 2 }, () => {
  let program: Program;
  before(() => {
    program = buildProgram();
  });
  after(() => program.close());

  test("say where they looked, and how to start one", async () => {
    const path = join(program.dir, "none.sock");
    const { status, stdout, stderr } = await program.run(["status", "--socket", path]);
    assert.deepEqual({ status, stdout }, { status: 69, stdout: "" });
    assert.match(
      stderr,
      /^stunmesh-ts: Cannot ask the daemon: none answers at "[^"]*none\.sock" .*systemctl start[^\n]*\n$/,
    );
  });

  test("look where the configuration says, and in the usual place when that cannot be read", async () => {
    const config = (control: string) => program.write("control.yaml", `control: ${control}\n`);
    const at = await program.run(["status", "-c", config(`{ socket: ${program.dir}/there.sock }`)]);
    assert.match(at.stderr, /none answers at "[^"]*there\.sock"/);
    const off = await program.run(["status", "-c", config("{ socket: off }")]);
    assert.equal(off.status, 69);
    assert.match(off.stderr, /control\.socket of the configuration is off/);
    const bad = await program.run(["status", "-c", config("7")], { env: { RUNTIME_DIRECTORY: "/nonexistent" } });
    assert.match(bad.stderr, /none answers at "\/nonexistent\/control\.sock"/);
    const missing = await program.run(["status", "-c", "/nonexistent/config.yaml"]);
    assert.equal(missing.status, 66);
  });

  test("say what to do about a socket that they may not use", async (t) => {
    const path = join(program.dir, "locked.sock");
    const server = createServer().listen(path);
    t.after(() => server.close());
    await once(server, "listening");
    chmodSync(path, 0o000);
    const { status, stderr } = await program.run(["status", "--socket", path], { unprivileged: true });
    assert.equal(status, 77);
    assert.match(stderr, /for its owner and its group only; use sudo, or set control\.group/);
  });
});
