import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, afterEach, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { systemClock } from "../../src/clock.ts";
import { withDeadline } from "../../src/deadline.ts";
import { type ChildOptions, runChild } from "../../src/plugins/child.ts";
import { createFakeClock } from "../fakes/clock.ts";
import { temporaryDirectory } from "./fixtures.ts";
import { findStrays, markChildren, waitForNoStrays } from "./processes.ts";

const mark = markChildren();
afterEach(async () => assert.deepEqual(await waitForNoStrays(mark), [], "no process is left"));

describe("runChild()", { timeout: 120_000 }, () => {
  test("returns output, standard error and exit status", async () => {
    const result = await run("cat; echo complaint >&2; exit 7", { input: "question" });
    assert.equal(result.stdout.toString(), "question");
    assert.deepEqual([result.stderr, result.status, result.failure], ["complaint\n", 7, "exit status 7"]);
  });

  test("takes 100,000 characters of input, read or not", async () => {
    const input = "x".repeat(100_000);
    assert.equal((await run("wc -c", { input })).stdout.toString().trim(), "100000");
    assert.equal((await run("exit 0", { input })).failure, undefined);
    assert.equal((await run("exec <&-; exit 0", { input })).failure, undefined);
  });

  test("gives the program a pipe when there is no place for a temporary file", async () => {
    const before = process.env.TMPDIR;
    process.env.TMPDIR = "/nonexistent";
    try {
      assert.equal((await run("cat", { input: "question" })).stdout.toString(), "question");
      assert.equal((await run("exec <&-; exit 0", { input: "x".repeat(1_000_000) })).failure, undefined);
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
  });

  test("passes the environment of the daemon and no shell touches the arguments", async () => {
    const { stdout } = await runChild(childOptions({ command: "env", args: [] }));
    assert.ok(stdout.toString().includes(`=${mark}\n`));
    const echoed = await runChild(childOptions({ command: "echo", args: ["$HOME; *"] }));
    assert.equal(echoed.stdout.toString(), "$HOME; *\n");
  });

  test("kills the whole group when aborted, and rejects at once with the reason", async (t) => {
    const started = join(await temporaryDirectory(t), "started");
    const reason = new Error("stop");
    const controller = new AbortController();
    // Three generations, all deaf to SIGTERM.
    const commands = `trap "" TERM; sh -c 'sleep 1000 & sleep 1000 & wait' & sleep 1000 & touch "$0"; wait`;
    const running = run(commands, { args: [started], signal: controller.signal });
    await until(() => existsSync(started) && findStrays(mark).length >= 5);
    controller.abort(reason);
    await assert.rejects(running, reason);
  });

  test("kills the whole group at a deadline", async () => {
    const timed = withDeadline({ clock: systemClock, timeoutMs: 100, action: "wait" }, (signal) =>
      run("sleep 1000 & sleep 1000", { signal }),
    );
    await assert.rejects(timed, { code: "TIMEOUT" });
  });

  test("kills a tree that keeps forking", async (t) => {
    const grown = join(await temporaryDirectory(t), "grown");
    const controller = new AbortController();
    const commands = `spawn() { if [ "$1" -gt 0 ]; then (spawn $(($1 - 1))) & (spawn $(($1 - 1))) & fi; sleep 1000; }; (spawn 4) & touch "$0"; wait`;
    const running = run(commands, { args: [grown], signal: controller.signal });
    await until(() => existsSync(grown) && findStrays(mark).length > 20);
    controller.abort();
    await assert.rejects(running, { name: "AbortError" });
  });

  test("does not wait for a grandchild that holds the pipes, and kills it", async () => {
    const clock = createFakeClock();
    const running = run("sleep 1000 & echo done", { clock });
    await until(() => clock.sleeping === 1);
    await clock.advance(199);
    assert.equal(clock.sleeping, 1);
    await clock.advance(1);
    assert.equal((await running).stdout.toString(), "done\n");
  });

  test("does not wait for a grandchild that left the group", async () => {
    const code = `const child = require("node:child_process").spawn("sleep", ["1000"], { detached: true, stdio: "inherit" });
      child.unref(); process.stdout.write(String(child.pid));`;
    const { stdout } = await runChild(childOptions({ command: process.execPath, args: ["-e", code] }));
    process.kill(Number(stdout), "SIGKILL");
  });

  test("leaves a background process alone that gave our pipes back", async (t) => {
    const pidFile = join(await temporaryDirectory(t), "pid");
    await run(`sleep 1000 >/dev/null 2>&1 </dev/null & echo $! >"$0"`, { args: [pidFile] });
    process.kill(Number(readFileSync(pidFile, "utf8")), "SIGKILL");
  });

  test("ends a program that writes without end", async () => {
    await assert.rejects(run("yes; sleep 1000"), {
      code: "STORE_REPLY_INVALID",
      message: "Cannot get: more than 64 KiB on standard output",
    });
  });

  test("drops what follows when that is enough", async () => {
    const asked: number[] = [];
    const isEnough = (stdout: Buffer) => asked.push(stdout.length) > 0;
    const result = await run("head -c 5000000 /dev/zero; echo end >&2", { isEnough });
    assert.equal(result.failure, undefined);
    assert.equal(result.stderr, "end\n");
    assert.equal(asked.length, 1);
    assert.ok(result.stdout.length < 200_000, `${result.stdout.length} bytes kept`);
  });

  test("keeps the end of a long standard error", async () => {
    const { stderr } = await run("head -c 1000000 /dev/zero >&2; echo reason >&2");
    assert.ok(stderr.endsWith("reason\n") && stderr.length <= 8192);
  });

  test("leaves no open file behind after 50 calls", async () => {
    const before = openFiles();
    for (let round = 0; round < 5; round++) {
      await Promise.all(Array.from({ length: 10 }, () => run("cat", { input: "x" })));
    }
    await until(() => openFiles() <= before);
    assert.ok(openFiles() <= before);
  });
});

describe("findStrays()", () => {
  test("sees a running program", async () => {
    const controller = new AbortController();
    const running = run("sleep 1000", { signal: controller.signal });
    await until(() => findStrays(mark).length > 0);
    controller.abort();
    await assert.rejects(running, { name: "AbortError" });
  });
});

after(async () => assert.deepEqual(await waitForNoStrays(mark), []));

function childOptions(options: Partial<ChildOptions>): ChildOptions {
  return {
    command: "sh",
    args: [],
    input: "",
    clock: systemClock,
    signal: new AbortController().signal,
    action: "get",
    isEnough: () => false,
    ...options,
  };
}

function run(commands: string, options: Partial<ChildOptions> = {}) {
  return runChild(childOptions({ ...options, args: ["-c", commands, ...(options.args ?? [])] }));
}

function openFiles(): number {
  return readdirSync("/dev/fd").length;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await delay(10);
}
