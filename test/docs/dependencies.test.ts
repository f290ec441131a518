/** docs/dependencies.md against what the bundler really takes, what is installed, and the licences that are fine with us. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { repositoryRoot } from "../fixtures/path.ts";
import { chapter, codeRows, readText } from "./pages.ts";

/** They let the program be passed on under its own licence, with nothing but their text beside it. */
const fineLicences = ["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "Apache-2.0", "Unlicense"];

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

const page = readText("docs/dependencies.md");
const own = manifestOf("");
const bundled = await findBundled();

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(repositoryRoot, folder, "package.json"), "utf8"));
}

/** Folders of the packages of which something is in the bundle that `npm run build` makes. */
async function findBundled(): Promise<readonly string[]> {
  const { programOptions } = await import(pathToFileURL(join(repositoryRoot, "packaging/bundle.mjs")).href);
  const { metafile } = await build({ ...programOptions, metafile: true });
  const files = Object.values(metafile?.outputs ?? {}).flatMap(({ inputs }) =>
    Object.entries(inputs).flatMap(([file, { bytesInOutput }]) => (bytesInOutput > 0 ? [file] : [])),
  );
  return [...new Set(files.flatMap((file) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []))];
}

/** Rows as "name version licence", for comparing. */
function written(heading: string): readonly string[] {
  return codeRows(chapter(page, heading)).map(([name, version, licence]) => `${name} ${version} ${licence}`);
}

function real(folders: readonly string[]): readonly string[] {
  const rows = folders.map(manifestOf).map(({ name, version, license }) => `${name} ${version} ${license}`);
  return [...new Set(rows)].toSorted();
}

test("the table of what is in the one file is what the bundler takes", () => {
  assert.ok(bundled.length > 10);
  assert.deepEqual(written("In the one file").toSorted(), real(bundled));
});

test("the tables of what is installed, and of what is for development, are those of package.json", () => {
  const folder = (name: string) => `node_modules/${name}`;
  assert.deepEqual(written("Installed with it"), real(Object.keys(own.dependencies).map(folder)));
  const inBundle = new Set(bundled);
  const tools = Object.keys(own.devDependencies).filter((name) => !inBundle.has(folder(name)));
  assert.deepEqual(written("For development").toSorted(), real(tools.map(folder)));
});

test("every package says why it is there", () => {
  for (const [name, , , why] of codeRows(page)) assert.ok(why, name);
});

test("every licence is one of those that are fine, and the page names them", () => {
  const folders = [
    ...bundled,
    ...Object.keys({ ...own.dependencies, ...own.devDependencies }).map((name) => `node_modules/${name}`),
  ];
  for (const folder of folders) {
    const { name, license } = manifestOf(folder);
    const choices = license.replace(/[()]/g, "").split(" OR ");
    assert.ok(
      choices.some((choice) => fineLicences.includes(choice)),
      `${name}: ${license}`,
    );
  }
  for (const licence of fineLicences) assert.ok(page.includes(licence), licence);
});

test("every package in the one file comes with the text of its licence", () => {
  for (const folder of bundled) {
    const texts = readdirSync(join(repositoryRoot, folder)).filter((name) => /^(?:licen[cs]e|copying)/i.test(name));
    assert.ok(texts.length > 0, folder);
  }
});
