/**
 * `stunmesh-ts names`: what can stand for a name on the command line, for completion: a line for each, with its kind first.
 * Hidden, and fast: the configuration is not checked, only looked into. When there is none there are no names.
 */
import { readAtMost } from "../config/bounded-file.ts";
import { isMapping, MAX_CONFIG_BYTES, parseDocument } from "../config/document.ts";
import { findConfig } from "../config/search.ts";
import type { CommonOptions } from "./load.ts";

/** Prints the names. Resolves with 0, whatever there is. */
export async function printNames({ config, configDir }: CommonOptions): Promise<number> {
  const { env } = process;
  try {
    const { path } = await findConfig({ file: config, directory: configDir, env, cwd: process.cwd() });
    const { bytes } = await readAtMost(path, MAX_CONFIG_BYTES);
    const lines = namesIn(parseDocument(bytes.toString("utf8"), path).root);
    process.stdout.write(lines.map((line) => `${line}\n`).join(""));
  } catch {
    // Somebody pressed Tab: the command itself is going to say what is wrong.
    return 0;
  }
  return 0;
}

/** `interface wg0`, `peer wg0/office`, `plugin shared` and so on. */
export function namesIn(root: Readonly<Record<string, unknown>>): readonly string[] {
  const interfaces = Object.entries(asMapping(root.interfaces));
  const peersOf = (block: unknown) => Object.keys(asMapping(asMapping(block).peers));
  const lines = [
    ...interfaces.map(([name]) => `interface ${name}`),
    ...interfaces.flatMap(([name, block]) =>
      peersOf(block).flatMap((peer) => [`peer ${peer}`, `peer ${name}/${peer}`]),
    ),
    ...Object.keys(asMapping(root.plugins)).map((name) => `plugin ${name}`),
  ];
  return [...new Set(lines)].filter((line) => !/[\p{Cc}\p{Zl}\p{Zp}]/u.test(line));
}

function asMapping(value: unknown): Readonly<Record<string, unknown>> {
  return isMapping(value) ? value : {};
}
