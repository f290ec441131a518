/** packaging/freebsd/stunmesh_ts with a small rc.subr(8) and daemon(8) of the tests, and a program that says what reaches it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { repositoryRoot } from "../fixtures/path.ts";

const WAIT_MS = 90_000;
const program = `#!${process.execPath}
const [command, ...rest] = process.argv.slice(2);
const config = require("node:fs").readFileSync(rest[1], "utf8");
if (command === "check") {
  console.log(config === "good" ? "ok" : "wrong");
  process.exit(config === "good" ? 0 : 78);
}
for (const name of ["SIGHUP", "SIGUSR1"]) process.on(name, () => console.log(name));
process.on("SIGTERM", () => { console.log("SIGTERM"); process.exit(0); });
setInterval(() => {}, 1000);
console.log(command, ...rest, "PATH=" + process.env.PATH);
`;

let script: string;
before(async () => {
  script = await readFile(join(repositoryRoot, "packaging/freebsd/stunmesh_ts"), "utf8");
});

interface Service {
  /** Runs the script with one word; resolves with what it printed and its exit status. */
  run(word: string): Promise<{ readonly code: number; readonly text: string }>;
  /** Resolves when the log (or another file) has `text`. */
  logHas(text: string, file?: string): Promise<void>;
  readonly config: string;
  readonly log: string;
}

async function makeService(t: TestContext, conf = ""): Promise<Service> {
  const folder = await mkdtemp(join(tmpdir(), "stunmesh-rc-"));
  const [config, log, rcConf] = [join(folder, "config.yaml"), join(folder, "log"), join(folder, "rc.conf")];
  const path = join(folder, "stunmesh_ts");
  // rc.subr(8) knows no quotes, and the path of the repository may have spaces.
  for (const name of ["rc.subr", "daemon.sh"]) {
    await copyFile(join(repositoryRoot, "test/fakes", name), join(folder, name));
  }
  const here = script
    .replace("/etc/rc.subr", join(folder, "rc.subr"))
    .replaceAll("/usr/sbin/daemon", join(folder, "daemon.sh"))
    .replaceAll("/var/", `${folder}/`);
  await writeFile(path, here);
  await writeFile(join(folder, "program"), program);
  await chmod(join(folder, "program"), 0o755);
  await writeFile(config, "good");
  await writeFile(log, "");
  const settings = { enable: "YES", config, program: join(folder, "program"), restart: "0" };
  const lines = Object.entries(settings).map(([key, value]) => `stunmesh_ts_${key}="${value}"\n`);
  await writeFile(rcConf, `${lines.join("")}${conf}\n`);
  await Promise.all(["db", "run"].map((name) => mkdir(join(folder, name))));

  function run(word: string) {
    const env = { PATH: "/usr/bin:/bin", RC_CONF: rcConf, SYSLOG: log };
    return new Promise<{ readonly code: number; readonly text: string }>((resolve, reject) => {
      execFile("sh", [path, word], { env, timeout: WAIT_MS }, (error, stdout, stderr) => {
        if (error && typeof error.code !== "number") reject(error);
        else resolve({ code: typeof error?.code === "number" ? error.code : 0, text: stdout + stderr });
      });
    });
  }
  async function logHas(text: string, file = log) {
    const end = Date.now() + WAIT_MS;
    while (!(await readFile(file, "utf8")).includes(text)) {
      if (Date.now() > end) assert.fail(`"${text}" is not in the log: ${await readFile(file, "utf8")}`);
      await pause(10);
    }
  }
  t.after(async () => {
    await run("stop");
    await rm(folder, { recursive: true, force: true });
  });
  return { run, logHas, config, log };
}

test("the rc.d script starts, reports, reloads, refreshes and stops the daemon", async (t) => {
  const service = await makeService(t, 'stunmesh_ts_flags="--log-level debug"');
  assert.deepEqual(await service.run("status"), { code: 1, text: "stunmesh_ts is not running.\n" });
  assert.equal((await service.run("start")).code, 0);
  await service.logHas(`run --config ${service.config} --log-format json --log-level debug PATH=`);
  // node of packages is there.
  await service.logHas(":/usr/local/bin");
  assert.match((await service.run("status")).text, /is running as pid \d+/);
  assert.equal((await service.run("reload")).code, 0);
  await service.logHas("SIGHUP");
  assert.equal((await service.run("refresh")).code, 0);
  await service.logHas("SIGUSR1");
  assert.equal((await service.run("stop")).code, 0);
  await service.logHas("SIGTERM");
  assert.equal((await service.run("status")).code, 1);
  assert.equal((await service.run("reload")).code, 1);
  assert.deepEqual(await service.run("refresh"), { code: 1, text: "stunmesh_ts is not running\n" });
});

test("the rc.d script starts nothing that is not enabled, unless asked for it once", async (t) => {
  const service = await makeService(t, "stunmesh_ts_enable=NO");
  assert.match((await service.run("start")).text, /Set stunmesh_ts_enable to YES/);
  assert.equal((await service.run("onestart")).code, 0);
  await service.logHas("run --config");
  assert.equal((await service.run("onestop")).code, 0);
});

test("the rc.d script does not start with a wrong configuration, and says so", async (t) => {
  const service = await makeService(t);
  await writeFile(service.config, "bad");
  const { code, text } = await service.run("start");
  assert.equal(code, 1);
  assert.match(text, /^wrong$/m);
  assert.equal((await service.run("check")).code, 78);
});

test("the rc.d script logs to a file if told to", async (t) => {
  const service = await makeService(t, 'stunmesh_ts_log="$stunmesh_ts_config.log"');
  await service.run("start");
  await service.logHas("run --config", `${service.config}.log`);
  await service.run("stop");
  assert.equal(await readFile(service.log, "utf8"), "");
});
