/** Installs the fake wg(8) (wg.mjs) into a directory, and reads and writes its state. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot } from "../fixtures/path.ts";
import type { FakeDevice } from "./wg-device.ts";

/** What it does instead of its work. */
export type ToolMisbehaviour =
  | { readonly kind: "hang" }
  | { readonly kind: "huge" }
  /** Prints this and ends with status 0. */
  | { readonly kind: "text"; readonly text: string }
  /** Prints this to stderr and ends with `exitCode`, default 1. */
  | { readonly kind: "fail"; readonly stderr: string; readonly exitCode?: number };

export interface FakeTool {
  /** Path to give as the command. */
  readonly command: string;
  read(): FakeToolState;
  write(changes: Partial<FakeToolState>): void;
}

export interface FakeToolState {
  /** `publicKey` is what the dump says. */
  readonly devices: Record<string, FakeDevice & { publicKey?: string }>;
  readonly calls: readonly { readonly args: readonly string[]; readonly env: Record<string, string> }[];
  readonly misbehaviour?: ToolMisbehaviour | undefined;
  /** Processes of a call that hangs. */
  readonly pids?: readonly number[];
}

/** Puts an executable fake into `dir`, without any device. */
export function installFakeTool(dir: string): FakeTool {
  const command = join(dir, "wg.mjs");
  const stateFile = join(dir, "state.json");
  const source = join(repositoryRoot, "test/fakes/wg.mjs");
  writeFileSync(command, `#!${process.execPath}\n${readFileSync(source, "utf8")}`, { mode: 0o755 });
  const tool: FakeTool = {
    command,
    read: () => JSON.parse(readFileSync(stateFile, "utf8")) as FakeToolState,
    write(changes) {
      writeFileSync(`${stateFile}.new`, JSON.stringify({ ...tool.read(), ...changes }));
      renameSync(`${stateFile}.new`, stateFile);
    },
  };
  writeFileSync(stateFile, JSON.stringify({ devices: {}, calls: [] }));
  return tool;
}
