// `npm run demo`: prepares the machine, builds the daemon and shows two WireGuard sites behind NATs finding each other
// (two-sites.ts). Linux and root. `--check` says only how it ended. Exit status 0 = the tunnel worked, 1 = it did not.
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import { join } from "node:path";
import {
  ensureDebianPackages,
  ensureNodeModules,
  labCommands,
  requireNamespaces,
  requireNode,
  root,
} from "../setup.mjs";

requireNode();
ensureNodeModules();
ensureDebianPackages(labCommands);
requireNamespaces({ command: "npm run demo" });

const { status, stderr } = spawnSync("npm", ["run", "--silent", "build"], { cwd: root, encoding: "utf8" });
if (status !== 0) {
  console.error(`${stderr}\nCannot build dist/stunmesh-ts.js: npm run build ended with status ${status}`);
  process.exit(1);
}

// Its own bundle, so that a demonstration does not wait for the compilation of all tests.
const { build } = await import("esbuild");
const outfile = join(root, "build/demo/two-sites.mjs");
await build({
  entryPoints: [join(root, "test/lab/two-sites.ts")],
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  outfile,
  logLevel: "warning",
});
const { showTwoSites } = await import(outfile);

const interrupt = new AbortController();
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => interrupt.abort(signal));
const quiet = process.argv.includes("--check");
const program = join(root, "dist/stunmesh-ts.js");
const worked = await showTwoSites({ program, quiet, signal: interrupt.signal });
const { aborted, reason } = interrupt.signal;
if (aborted) console.log(`stopped by ${reason}; nothing is left behind`);
if (!worked) process.exitCode = aborted ? 128 + constants.signals[reason] : 1;
