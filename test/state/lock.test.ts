import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { lockInterface } from "../../src/state/lock.ts";
import { runNode } from "../platform/run-node.ts";
import { temporaryDirectory } from "../plugins/fixtures.ts";
import { builtModule } from "./built-module.ts";

/** Starts a program that takes the lock, runs `next`, says so and stays. Killed after the test. */
async function startHolder(t: TestContext, { directory, next = "" }: { directory: string; next?: string }) {
  const source = `
    import { spawn } from "node:child_process";
    import { lockInterface } from "${builtModule("state/lock")}";
    const lock = await lockInterface({ directory: ${JSON.stringify(directory)}, interface: "wg0" });
    ${next}
    console.log("locked");
    setInterval(() => {}, 1000);
  `;
  const child = spawn(process.execPath, ["--expose-gc", "--input-type=module", "--eval", source], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  t.after(() => child.kill("SIGKILL"));
  let output = "";
  for await (const chunk of child.stdout) {
    output += chunk;
    if (output.includes("locked\n")) return { child, output };
  }
  throw new Error(`the holder ended: ${output}`);
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  child.kill(signal);
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

function alreadyRunning(holder: string) {
  return {
    code: "ALREADY_RUNNING",
    message:
      `Cannot serve interface "wg0": ${holder} does already; stop that one first, or, if it is in another network ` +
      'namespace, give this one a "state_directory" of its own',
  };
}

test("lockInterface lets one process have an interface, and names it to the second", async (t) => {
  const directory = await temporaryDirectory(t);
  const { child } = await startHolder(t, { directory });
  await assert.rejects(lockInterface({ directory, interface: "wg0" }), alreadyRunning(`process ${child.pid}`));
  const other = await lockInterface({ directory, interface: "wg1" });
  await other.release();
  for (const signal of ["SIGKILL", "SIGTERM"] as const) {
    const { child: holder } = signal === "SIGKILL" ? { child } : await startHolder(t, { directory });
    await kill(holder, signal);
    const lock = await lockInterface({ directory, interface: "wg0" });
    assert.equal(await readFile(join(directory, "wg0.lock"), "utf8"), `${process.pid}\n`);
    await lock.release();
  }
});

test("lockInterface is exclusive within a process too, until released", async (t) => {
  const directory = await temporaryDirectory(t);
  const lock = await lockInterface({ directory, interface: "wg0" });
  await assert.rejects(lockInterface({ directory, interface: "wg0" }), alreadyRunning(`process ${process.pid}`));
  await lock.release();
  await lock.release();
  assert.equal(await readFile(join(directory, "wg0.lock"), "utf8"), "");
  const again = await lockInterface({ directory, interface: "wg0" });
  // The second release of the first must not have been one of this lock.
  await assert.rejects(lockInterface({ directory, interface: "wg0" }), { code: "ALREADY_RUNNING" });
  await again.release();
});

test("lockInterface is not fooled by what is in the file", async (t) => {
  const directory = await temporaryDirectory(t);
  const path = join(directory, "wg0.lock");
  for (const content of ["1\n", `${process.ppid}\n`, "x".repeat(10_000), ""]) {
    await writeFile(path, content, { mode: 0o644 });
    const lock = await lockInterface({ directory, interface: "wg0" });
    assert.equal(await readFile(path, "utf8"), `${process.pid}\n`);
    assert.equal((await stat(path)).mode & 0o7777, 0o600);
    for (const odd of ["", "12", "1e3\n", "99999999999999999999\n"]) {
      await writeFile(path, odd);
      await assert.rejects(lockInterface({ directory, interface: "wg0" }), alreadyRunning("another process"));
    }
    await lock.release();
  }
});

test("lockInterface of many processes at the same moment goes to one", async (t) => {
  const directory = await temporaryDirectory(t);
  const source = `
    import { lockInterface } from "${builtModule("state/lock")}";
    const ended = new Promise((resolve) => process.stdin.resume().on("end", resolve));
    await lockInterface({ directory: ${JSON.stringify(directory)}, interface: "wg0" }).then(
      () => console.log("locked"),
      ({ code }) => console.log(code),
    );
    await ended;
  `;
  const children = Array.from({ length: 8 }, () =>
    spawn(process.execPath, ["--input-type=module", "--eval", source], { stdio: ["pipe", "pipe", "inherit"] }),
  );
  t.after(() => {
    for (const child of children) child.kill("SIGKILL");
  });
  const results = await Promise.all(
    children.map(async ({ stdout }) => String(((await once(stdout, "data")) as [Buffer])[0]).trim()),
  );
  assert.deepEqual(results.sort(), [...Array<string>(7).fill("ALREADY_RUNNING"), "locked"]);
  for (const { stdin } of children) stdin.end();
});

test("lock is not inherited by programs that the holder started", async (t) => {
  const directory = await temporaryDirectory(t);
  const { child, output } = await startHolder(t, {
    directory,
    next: `
      const plugin = spawn("sleep", ["60"], { stdio: ["pipe", "pipe", "ignore"] });
      const shell = spawn("sh", ["-c", "sleep 60 & echo $!; wait"], { stdio: ["ignore", "pipe", "ignore"], detached: true });
      const [grandchild] = await new Promise((resolve) => shell.stdout.once("data", (text) => resolve([Number(text)])));
      console.log(JSON.stringify([plugin.pid, shell.pid, grandchild]));
    `,
  });
  const pids = JSON.parse(output.split("\n")[0] ?? "") as number[];
  t.after(() => {
    for (const pid of pids) process.kill(pid, "SIGKILL");
  });
  await kill(child, "SIGKILL");
  const lock = await lockInterface({ directory, interface: "wg0" });
  for (const pid of pids) assert.ok(process.kill(pid, 0), `${pid} runs`);
  await lock.release();
});

test("lock is kept when the garbage collector has run and nobody refers to the lock", async (t) => {
  const directory = await temporaryDirectory(t);
  const { child } = await startHolder(t, {
    directory,
    next: "for (let round = 0; round < 5; round++) { gc(); await new Promise(setImmediate); }",
  });
  await assert.rejects(lockInterface({ directory, interface: "wg0" }), alreadyRunning(`process ${child.pid}`));
});

test("lockInterface throws STATE_UNAVAILABLE where it cannot lock", async (t) => {
  const directory = await temporaryDirectory(t);
  await mkdir(join(directory, "directory.lock"));
  await writeFile(join(directory, "target"), "");
  await symlink("target", join(directory, "link.lock"));
  for (const [name, where, why] of [
    ["directory", directory, /EISDIR/],
    ["link", directory, /ELOOP|EMLINK/],
    ["wg0", join(directory, "missing"), /ENOENT/],
    ["wg0", join(directory, "target"), /ENOTDIR/],
  ] as const) {
    await assert.rejects(lockInterface({ directory: where, interface: name }), (error: Error & { code?: string }) => {
      assert.equal(error.code, "STATE_UNAVAILABLE");
      assert.ok(error.message.startsWith(`Cannot lock "${join(where, name)}.lock": `), error.message);
      assert.match(error.message, why);
      return true;
    });
  }
});

test("lockInterface leaves no descriptor open, neither when it fails nor after release", async (t) => {
  const directory = await temporaryDirectory(t);
  const { stdout, stderr } = await runNode(`
    import { openSync, closeSync } from "node:fs";
    import { lockInterface } from "${builtModule("state/lock")}";
    const directory = ${JSON.stringify(directory)};
    const nextDescriptor = () => { const fd = openSync("/dev/null"); closeSync(fd); return fd; };
    const free = nextDescriptor();
    const lock = await lockInterface({ directory, interface: "wg0" });
    const before = nextDescriptor();
    for (let round = 0; round < 20; round++) {
      await lockInterface({ directory, interface: "wg0" }).catch(() => {});
      await lockInterface({ directory: directory + "/missing", interface: "wg0" }).catch(() => {});
    }
    const after = nextDescriptor();
    await lock.release();
    console.log(JSON.stringify({ leaked: after - before, released: nextDescriptor() <= free }));
  `);
  assert.equal(stderr, "");
  assert.deepEqual(JSON.parse(stdout), { leaked: 0, released: true });
});
