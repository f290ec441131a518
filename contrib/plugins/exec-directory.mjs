#!/usr/bin/env node
// An `exec` plugin in JavaScript: one file per key in the directory given as the argument.
//
// It is asked by one line of JSON on standard input and answers by one JSON object on standard output.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

function answer({ action, key, value }, directory) {
  if (!/^[0-9a-f]{40}$/.test(key)) throw new Error("a key is 40 hexadecimal characters");
  const place = join(directory, key);
  switch (action) {
    case "get":
      return { success: true, value: readFileSync(place, "utf8") };
    case "set":
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      // Written beside its place and renamed, so that nobody ever reads a part.
      writeFileSync(`${place}.${process.pid}`, value, { mode: 0o600 });
      renameSync(`${place}.${process.pid}`, place);
      return { success: true };
    default:
      throw new Error("an action is get or set");
  }
}

function answerOrError() {
  try {
    const [directory] = process.argv.slice(2);
    if (directory === undefined) throw new Error("give a directory as the only argument");
    return answer(JSON.parse(readFileSync(0, "utf8")), directory);
  } catch (error) {
    return { success: false, error: error.code === "ENOENT" ? "key not found" : error.message };
  }
}

process.stdout.write(`${JSON.stringify(answerOrError())}\n`);
