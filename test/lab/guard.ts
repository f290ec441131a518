/**
 * A lab's end. Its owner holds one end of a pipe and the guard, a process of its own, the other: when the pipe breaks,
 * because the owner closes the lab or ends in whatever way, the guard takes the lab down.
 */
import { type ChildProcess, spawn } from "node:child_process";
import type { Socket } from "node:net";
import { join } from "node:path";
import { repositoryRoot } from "../fixtures/path.ts";
import { readCommand } from "./process.ts";

let collected: Promise<unknown> | undefined;

/** Takes down labs whose owner and guard are both gone; once per process. */
export function removeAbandonedLabs(): Promise<unknown> {
  collected ??= readCommand(["bash", labScript(), "gc"]);
  return collected;
}

/** Starts the guard of the lab that `env` names. */
export function startGuard(env: Readonly<Record<string, string>>): ChildProcess {
  // Detached, so that Ctrl-C on the terminal does not end it too.
  const guard = spawn("bash", [labScript(), "guard"], {
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
    env: { ...process.env, ...env },
  });
  // Neither the guard nor the pipe to it keeps this process alive.
  guard.unref();
  (guard.stdin as Socket).unref();
  return guard;
}

/** Has the guard take its lab down; resolves when that is done. */
export async function endGuard(guard: ChildProcess): Promise<void> {
  if (guard.exitCode !== null) return;
  const ended = new Promise((resolve) => guard.once("exit", resolve));
  guard.ref();
  guard.stdin?.end();
  await ended;
}

let named = 0;

/** A lab's name that no other process has: a process id has up to 5 digits of base 36 (4194304 at most), a name up to 8. */
export function uniqueName(): string {
  named++;
  return `t${process.pid.toString(36).padStart(5, "0")}${named.toString(36)}`;
}

/** A lab of bare namespaces, which a test makes itself and which go as a lab does. Their names begin with `prefix`. */
export function guardNamespaces(): { readonly prefix: string; close(): Promise<void> } {
  const name = uniqueName();
  const guard = startGuard({ LAB: name });
  return { prefix: `${name}-`, close: () => endGuard(guard) };
}

/** The script stands in the source tree, while this file may run from a build folder. */
export function labScript(): string {
  return join(repositoryRoot, "test", "lab", "lab.sh");
}
