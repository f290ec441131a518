/**
 * `stunmesh-ts compile`: has what V8 compiles at a start saved beside the program, for faster starts. For services that
 * may not write there, after an installation; a daemon that may does it by itself.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StunmeshError } from "../errors.ts";
import { saveCode } from "../launched.ts";
import { run } from "./run.ts";

/** No interface can have this name: the systems do not allow the colon. */
const CONFIG = `
stun: { address: "127.0.0.1:3478" }
interfaces:
  ":none":
    peers:
      nobody: { public_key: "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", plugin: none }
plugins:
  none: { type: file, path: none }
`;

/** Resolves with 0. Throws PERMISSION_DENIED when the code cannot be saved. */
export async function compile(signal: AbortSignal): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), "stunmesh-ts-"));
  const path = join(directory, "config.yaml");
  try {
    await writeFile(path, CONFIG);
    // What a start runs up to its first look at WireGuard: all but the last milliseconds of it.
    await run({ config: path, oneshot: true, logLevel: "error" }, signal);
  } catch (error) {
    signal.throwIfAborted();
    // There is no such interface; or it may not even be looked for, and then less is compiled.
    if (!(error instanceof StunmeshError)) throw error;
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  try {
    saveCode();
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new StunmeshError("PERMISSION_DENIED", `Cannot save the compiled program: ${why}`, { cause });
  }
  return 0;
}
