// Writes dist/licenses.txt: the licences of everything that is inside dist/program.cjs, which those who pass it on
// have to pass on too. What is inside is asked of the bundler, so that nothing can be forgotten.
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { programOptions } from "./bundle.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const { metafile } = await build({ ...programOptions, metafile: true });

const inBundle = Object.values(metafile.outputs).flatMap(({ inputs }) =>
  Object.entries(inputs).flatMap(([path, { bytesInOutput }]) => (bytesInOutput > 0 ? [path] : [])),
);
const folders = new Set(inBundle.flatMap((path) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []));
const texts = [...folders].sort().map(describe);
mkdirSync(join(root, "dist"), { recursive: true });
writeFileSync(join(root, "dist/licenses.txt"), texts.join(`\n${"-".repeat(80)}\n\n`));

function describe(folder) {
  const path = join(root, folder);
  const { name, version, license } = JSON.parse(readFileSync(join(path, "package.json"), "utf8"));
  const file = readdirSync(path).find((entry) => /^(licen[cs]e|copying)/i.test(entry));
  if (!license || !file) throw new Error(`Cannot find the licence of ${name}`);
  return `${name} ${version} (${license})\n\n${readFileSync(join(path, file), "utf8").trim()}\n`;
}
