// Runs compiled test files: `node test/run.mjs unit` everything but the laboratory, `lab` only that, or paths of
// compiled files (folders too). Names the files itself because Node 20's test runner has no globs.
import { spawnSync } from "node:child_process";
import { readdirSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

const root = process.env.TEST_BUILD_DIR ?? "build";
const [what = "unit", ...rest] = process.argv.slice(2);

function testFiles(path) {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true })
    .map((name) => join(path, name))
    .filter((name) => name.endsWith(".test.js"));
}

const lab = join(root, "test", "lab");
const files =
  what === "unit"
    ? testFiles(join(root, "test")).filter((file) => !file.startsWith(lab))
    : what === "lab"
      ? testFiles(lab)
      : [what, ...rest].flatMap(testFiles);
if (files.length === 0) {
  console.error(`no test files for "${what}" under ${root}/test: run "npm run compile" first`);
  process.exit(1);
}
// The laboratory's files share the machine's two cores and measure times: one after the other. All others wait for
// conditions, so that they may have every core; one that hangs ends with its file's name.
const limits =
  what === "lab" ? ["--test-concurrency=1"] : [`--test-concurrency=${availableParallelism()}`, "--test-timeout=60000"];
const { status } = spawnSync(
  process.execPath,
  ["--enable-source-maps", "--test", "--test-reporter=spec", ...limits, ...files.sort()],
  { stdio: "inherit" },
);
process.exit(status ?? 1);
