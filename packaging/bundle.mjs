// `node packaging/bundle.mjs [FOLDER=dist]`: makes the program of two files. program.cjs is all of it but koffi; the small
// stunmesh-ts.js runs it (src/launcher.ts).
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const common = {
  absWorkingDir: root,
  bundle: true,
  platform: "node",
  target: "node20",
  minify: true,
  legalComments: "none",
  logLevel: "warning",
};
/** Of esbuild, for program.cjs. */
export const programOptions = {
  ...common,
  entryPoints: ["src/main.ts"],
  outfile: "program.cjs",
  external: ["koffi"],
  // A script has neither: what is imported while it runs is required, and the launcher tells where the file is.
  format: "iife",
  supported: { "dynamic-import": false },
  define: { "import.meta.url": "launcher.url" },
  // The function that the launcher calls.
  banner: { js: "(function(require,launcher){" },
  footer: { js: "})" },
  write: false,
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = resolve(process.argv[2] ?? join(root, "dist"));
  const outfile = join(folder, "stunmesh-ts.js");
  mkdirSync(folder, { recursive: true });
  rmSync(join(folder, "program.cache"), { force: true });
  const [program] = await Promise.all([
    build(programOptions),
    build({ ...common, entryPoints: ["src/launcher.ts"], format: "esm", outfile }),
  ]);
  const [{ text }] = program.outputFiles;
  writeFileSync(join(folder, "program.cjs"), text.replace(/^#!.*\n/, ""));
}
