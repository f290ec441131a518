#!/usr/bin/env node
/**
 * The file that is started: runs the program beside it, with what V8 compiled of it before if that is there. A third of
 * a start would go into compiling (docs/decisions/0003).
 *
 * The program is a script that is compiled here, and not a module, because only of scripts Node gives the compiled code.
 */
import { readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Script } from "node:vm";
import { readCode, writeCode } from "./compiled-code.ts";
import type { Launcher } from "./launched.ts";

// From the first moment on, as far as it is ours: a reload that comes while the daemon is loaded must not end it. What is not
// the daemon takes this away again (main.ts).
process.on("SIGHUP", () => undefined);

const file = join(import.meta.dirname, "program.cjs");
const path = join(import.meta.dirname, "program.cache");
const source = readFileSync(file);
const { uid } = statSync(file);

const cachedData = readCode(path, { source, owner: uid });
const script = new Script(source.toString("utf8"), { filename: file, ...(cachedData && { cachedData }) });

const launcher: Launcher = {
  url: pathToFileURL(file).href,
  importModule: (url) => import(url),
  saveCode() {
    if (cachedData && script.cachedDataRejected === false) return;
    writeCode(path, { code: script.createCachedData(), source, owner: uid });
  },
};
script.runInThisContext()(createRequire(file), launcher);
