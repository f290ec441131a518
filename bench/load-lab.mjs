// Gives benchmarks the laboratory, which is TypeScript: bundles it first. Linux and root.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { build } from "esbuild";
import {
  ensureDebianPackages,
  ensureNodeModules,
  labCommands,
  requireNamespaces,
  requireNode,
  root,
} from "../test/setup.mjs";

/** Prepares the machine; builds the program unless STUNMESH_PROGRAM names one. `commands` as labCommands in test/setup.mjs. */
export async function loadLab({ script, commands = {} }) {
  requireNode();
  ensureNodeModules();
  ensureDebianPackages({ ...labCommands, ...commands });
  requireNamespaces({ command: `node ${script}` });
  if (process.env.STUNMESH_PROGRAM === undefined) {
    const { status, stderr } = spawnSync("npm", ["run", "--silent", "build"], { cwd: root, encoding: "utf8" });
    if (status !== 0) throw new Error(`Cannot build the program: ${stderr}`);
  }
  const outdir = join(root, "build/bench");
  const names = ["lab", "daemon"];
  const entryPoints = names.map((name) => join(root, `test/lab/${name}.ts`));
  const options = { bundle: true, platform: "node", format: "esm", target: "node20", splitting: true };
  await build({ entryPoints, outdir, outExtension: { ".js": ".mjs" }, logLevel: "warning", ...options });
  const [lab, daemon] = await Promise.all(names.map((name) => import(join(outdir, `${name}.mjs`))));
  return { ...lab, ...daemon };
}

/** The middle of `values`; of an even number of them the mean of the two in the middle. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return (sorted[Math.floor((sorted.length - 1) / 2)] + sorted[Math.ceil((sorted.length - 1) / 2)]) / 2;
}
