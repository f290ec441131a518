import assert from "node:assert/strict";
import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync } from "node:fs";
import { test } from "node:test";
import type { LogFields } from "../src/log.ts";

const logModule = new URL("../src/log.js", import.meta.url).href;

/** Runs `body` in a process of its own that has `log`, and gives what it wrote. */
async function runChild(
  options: object,
  body: string,
): Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }> {
  const child = startProgram(programOf(options, body), ["ignore", "pipe", "pipe"]);
  const read = async (stream: NodeJS.ReadableStream | null) => {
    const chunks: string[] = [];
    for await (const chunk of stream ?? []) chunks.push(String(chunk));
    return chunks.join("");
  };
  const [stdout, stderr, [code]] = await Promise.all([read(child.stdout), read(child.stderr), once(child, "close")]);
  return { code, stdout, stderr };
}

function startProgram(text: string, stdio: StdioOptions): ChildProcess {
  return spawn(process.execPath, ["--input-type=module", "--eval", text], { stdio });
}

/** The text of a program that has `log`. */
function programOf(options: object, body: string): string {
  return `
    import { createLog } from ${JSON.stringify(logModule)};
    const log = await createLog(${JSON.stringify(options)});
    ${body}`;
}

const eachLevel = `for (const level of ["trace", "debug", "info", "warn", "error"]) log[level]({ peer: "site2" }, "said at " + level);`;
const levels = ["trace", "debug", "info", "warn", "error"];

test("json lines are one object each, with level and time as text and the fields that were given", async () => {
  const fields: LogFields = { peer: "site2", endpoint: "[2001:db8::7]:1", ms: 12.5, names: ["a", "b"], err: "no: way" };
  const { stdout, stderr, code } = await runChild(
    { level: "trace", format: "json", fd: 1 },
    `log.child({ interface: "wg0" }).info(${JSON.stringify(fields)}, "endpoint set");`,
  );
  const { time, ...rest } = JSON.parse(stdout);
  assert.equal(code, 0);
  assert.equal(stderr, "");
  assert.deepEqual(rest, { level: "info", interface: "wg0", ...fields, msg: "endpoint set" });
  assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
});

test("a level lets through itself and what is above it", async () => {
  const all = [...levels, "fatal", "silent"];
  const body = `
    for (const level of ${JSON.stringify(all)}) {
      const log = await createLog({ level, format: "json", fd: 1 });
      ${eachLevel}
      console.log("{}");
    }`;
  const { stdout } = await runChild({ level: "silent", format: "json", fd: 1 }, body);
  const said = stdout
    .split("{}\n")
    .map((part) => part.split("\n").flatMap((line) => (line ? JSON.parse(line).level : [])));
  for (const [index, level] of all.entries()) {
    const from = levels.includes(level) ? levels.indexOf(level) : levels.length;
    assert.deepEqual(said[index], levels.slice(from), level);
  }
});

test("without a terminal the format is json, and console has no colours", async () => {
  const left = await runChild({ level: "info", fd: 1 }, `log.info({}, "hello");`);
  assert.equal(JSON.parse(left.stdout).msg, "hello");
  const console = await runChild({ level: "info", format: "console", fd: 1 }, eachLevel);
  const lines = console.stdout.trimEnd().split("\n");
  assert.equal(lines.length, 3);
  for (const line of lines) assert.match(line, /^\[\d\d:\d\d:\d\d\.\d{3}\] \w+: said at \w+ \{"peer":"site2"\}$/);
});

test("a log to standard error leaves standard output alone", async () => {
  const { stdout, stderr } = await runChild({ level: "info", format: "json", fd: 2 }, `log.info({}, "hello");`);
  assert.equal(stdout, "");
  assert.equal(JSON.parse(stderr).msg, "hello");
});

test("control characters and line feeds in a field stay in their line", async () => {
  const nasty = "one\ntwo\u001b[31mred\u0000";
  for (const format of ["json", "console"]) {
    const body = `log.info({ err: ${JSON.stringify(nasty)} }, "hello");`;
    const { stdout } = await runChild({ level: "info", format, fd: 1 }, body);
    assert.equal(stdout.split("\n").length, 2, format);
    assert.ok(!stdout.includes("\u001b"), format);
  }
});

/** Logs until it is told to stop, and ends with 7 then. */
const busy = `
  process.on("SIGTERM", () => process.exit(7));
  for (let count = 0; count < 200; count++) log.info({ count }, "still here");
  process.send?.("ready");
  setInterval(() => log.info({}, "and still"), 1);`;

test("a reader that goes away does not end the process, and it ends when told", async () => {
  for (const format of ["json", "console"]) {
    const child = startProgram(programOf({ level: "info", format, fd: 1 }, busy), ["ignore", "pipe", "pipe", "ipc"]);
    child.stdout?.destroy();
    let stderr = "";
    child.stderr?.on("data", (chunk) => {
      stderr += chunk;
    });
    await once(child, "message");
    child.kill("SIGTERM");
    const [code, signal] = await once(child, "close");
    assert.deepEqual({ code, signal, stderr }, { code: 7, signal: null, stderr: "" }, format);
  }
});

test("a disk that is full does not end the process, and it ends when told", async () => {
  const full = openSync("/dev/full", "w");
  const child = startProgram(programOf({ level: "info", format: "json", fd: 1 }, busy), [
    "ignore",
    full,
    "ignore",
    "ipc",
  ]);
  await once(child, "message");
  child.kill("SIGTERM");
  const [code, signal] = await once(child, "close");
  assert.deepEqual({ code, signal }, { code: 7, signal: null });
});

test("what others wrote moves no cursor, in either format, and JSON has it all the same", async () => {
  const err = "a\u009b2Jb\u0085c\u2028d\u202ee\u001b[2Jf\ng";
  for (const format of ["json", "console"]) {
    const body = `log.child({ peer: ${JSON.stringify(err)} }).warn({ err: ${JSON.stringify(err)} }, "fetch failed");`;
    const { stdout } = await runChild({ level: "info", format, fd: 1 }, body);
    assert.doesNotMatch(stdout.trimEnd(), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u, format);
    if (format === "json") assert.equal(JSON.parse(stdout).err, err);
  }
});
