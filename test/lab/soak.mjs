// `npm run soak`: how fast tunnels come back, measured many times, and a mesh in which something breaks every 20 s
// (soak-recovery.ts, soak-mesh.ts). Writes what it found into docs/testing.md. Linux and root. An hour and a half with the defaults.
//
//   npm run soak -- --scenario a,b --times 10 --minutes 0      some scenarios only, no mesh
//   npm run soak -- --times 0 --minutes 30                     the mesh only
//   --together 4    so many scenarios at a time      --quick    shorter outages      --no-docs    only print
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
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
requireNamespaces({ command: "npm run soak" });

const { values } = parseArgs({
  options: {
    scenario: { type: "string" },
    times: { type: "string", default: "10" },
    minutes: { type: "string", default: "30" },
    together: { type: "string", default: "3" },
    quick: { type: "boolean", default: false },
    "no-docs": { type: "boolean", default: false },
  },
});
const times = readCount("times");
const minutes = readCount("minutes");
const together = Math.max(1, readCount("together"));
// Better found out now than in an hour.
for (const section of ["recovery", "mesh"]) placeOf(section, readFileSync(join(root, "docs/testing.md"), "utf8"));

if (!process.env.STUNMESH_PROGRAM) {
  const { status, stderr } = spawnSync("npm", ["run", "--silent", "build"], { cwd: root, encoding: "utf8" });
  if (status !== 0)
    throw new Error(`Cannot build dist/stunmesh-ts.js: npm run build ended with status ${status}: ${stderr}`);
}
const { build } = await import("esbuild");
const outdir = join(root, "build/soak");
await build({
  entryPoints: ["soak-recovery", "soak-mesh"].map((name) => join(root, `test/lab/${name}.ts`)),
  bundle: true,
  platform: "node",
  format: "esm",
  target: "node20",
  outdir,
  outExtension: { ".js": ".mjs" },
  logLevel: "warning",
});
const { formatResults, isOnTarget, runScenarios } = await import(join(outdir, "soak-recovery.mjs"));
const { findFaults, formatMesh, runMesh } = await import(join(outdir, "soak-mesh.mjs"));

const startedAt = performance.now();
const say = (line) => console.log(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(5)} s  ${line}`);
const wrong = [];

if (times > 0) {
  const keys = values.scenario?.split(",");
  const logs = join(root, "build/soak/logs");
  const results = await runScenarios({ keys, times, together, quick: values.quick, logs, say });
  const text = formatResults(results);
  console.log(`\n${text}\n`);
  // A part of the scenarios must not replace the table of all.
  if (!keys) document("recovery", `${machine()}\n\n${text}`);
  wrong.push(...results.filter((result) => !isOnTarget(result)).map(({ scenario }) => `scenario ${scenario.key}`));
}
if (minutes > 0) {
  const result = await runMesh({ minutes, say });
  const text = formatMesh(result);
  console.log(`\n${text}\n`);
  document("mesh", text);
  wrong.push(...findFaults(result));
}
if (wrong.length > 0) {
  console.error(`Not as it should be: ${wrong.join("; ")}`);
  process.exitCode = 1;
}

/** Replaces what stands between two comments of docs/testing.md. */
function document(section, text) {
  if (values["no-docs"]) return;
  const path = join(root, "docs/testing.md");
  const page = readFileSync(path, "utf8");
  const [from, to] = placeOf(section, page);
  writeFileSync(path, `${page.slice(0, from)}\n\n${text}\n\n${page.slice(to)}`);
}

/** Where the text of a section begins and ends. */
function placeOf(section, page) {
  const [start, end] = [`<!-- ${section}:start -->`, `<!-- ${section}:end -->`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`Cannot write into docs/testing.md: "${start}" and "${end}" wanted in it`);
  return [from + start.length, to];
}

function machine() {
  return `Measured on ${cpus().length} cores with Node ${process.versions.node}, ${together} at a time.`;
}

function readCount(option) {
  const value = Number(values[option]);
  if (!Number.isInteger(value) || value < 0) {
    console.error(`Cannot use --${option} "${values[option]}": a number from 0 wanted`);
    process.exit(64);
  }
  return value;
}
