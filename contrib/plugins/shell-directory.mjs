#!/usr/bin/env node
// A `shell` plugin in JavaScript: one file per key in the directory given as the argument.
//
// It is asked by lines STUNMESH_ACTION=..., STUNMESH_KEY=... and STUNMESH_VALUE=... on standard input. What a get writes to
// standard output is the value; an exit status other than 0 is a failure, and standard error says which.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";

const [directory] = process.argv.slice(2);
const lines = readFileSync(0, "utf8").split("\n");
const request = new Map(lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));

function answer() {
  if (directory === undefined) throw new Error("give a directory as the only argument");
  const place = join(directory, basename(request.get("STUNMESH_KEY")));
  switch (request.get("STUNMESH_ACTION")) {
    case "get":
      process.stdout.write(readFileSync(place, "utf8"));
      break;
    case "set":
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      // Written beside its place and renamed, so that nobody ever reads a part.
      writeFileSync(`${place}.${process.pid}`, request.get("STUNMESH_VALUE"), { mode: 0o600 });
      renameSync(`${place}.${process.pid}`, place);
      break;
    default:
      throw new Error("an action is get or set");
  }
}

try {
  answer();
} catch (error) {
  process.stderr.write(`${error.code === "ENOENT" ? "key not found" : error.message}\n`);
  process.exitCode = 1;
}
