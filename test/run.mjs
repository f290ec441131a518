// Runs compiled test files: `node test/run.mjs unit` everything but the laboratory, `lab` only that, or paths of
// compiled files (folders too). Names the files itself because Node 20's test runner has no globs.
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { availableParallelism, constants, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";

/** Files of the laboratory at a time. Mostly they wait, so that there are more than a small machine has cores. */
const LAB_FILES = 4;
/** What takes this long hangs; a busy machine is a reason to be slow. */
const FILE_TIMEOUT_MS = 600_000;
/** Begun with, in this order, so that none of them runs alone at the end. */
const slowest = ["recovery", "package", "connect", "bad-input", "stores", "doctor", "steady", "pcap", "commands"];

const root = process.env.TEST_BUILD_DIR ?? "build";
const [what = "unit", ...rest] = process.argv.slice(2);

function testFiles(path) {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true })
    .map((name) => join(path, name))
    .filter((name) => name.endsWith(".test.js"))
    .sort();
}

const lab = join(root, "test", "lab");
const files =
  what === "unit"
    ? testFiles(join(root, "test")).filter((file) => !file.startsWith(lab))
    : what === "lab"
      ? testFiles(lab).toSorted((a, b) => placeOf(a) - placeOf(b))
      : [what, ...rest].flatMap(testFiles);
if (files.length === 0) {
  console.error(`no test files for "${what}" under ${root}/test: run "npm run compile" first`);
  process.exit(1);
}

function placeOf(file) {
  const place = slowest.indexOf(basename(file, ".test.js"));
  return place === -1 ? slowest.length : place;
}

// One folder for all that the tests leave, also when they are killed.
const prefix = "stunmesh-run-";
removeAbandoned();
const folder = mkdtempSync(join(tmpdir(), `${prefix}${process.pid}-`));
// As /tmp is: some tests become another user.
chmodSync(folder, 0o1777);
process.env.TMPDIR = folder;
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
// Of each file, when Node starts it.
process.execArgv.push("--enable-source-maps", "--import", new URL("end-with-parent.mjs", import.meta.url).href);

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.once(signal, () => process.exit(128 + constants.signals[signal]));
}
const concurrency = what === "lab" ? LAB_FILES : availableParallelism();
run({ files, concurrency, timeout: FILE_TIMEOUT_MS })
  .on("test:fail", () => {
    process.exitCode = 1;
  })
  .compose(new spec())
  .pipe(process.stdout);

/** Folders of runs that were killed. */
function removeAbandoned() {
  for (const name of readdirSync(tmpdir())) {
    const pid = Number(new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1]);
    if (pid > 0 && !isRunning(pid)) rmSync(join(tmpdir(), name), { recursive: true, force: true });
  }
}

function isRunning(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}
