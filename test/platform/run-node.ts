/** Runs a module's text in a Node process of its own. */
import { spawn } from "node:child_process";
import { once } from "node:events";

export interface NodeResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `prefix` is a command that runs the one after it: ["setpriv", "--bounding-set=-all"]. Ended after 2 minutes. */
export async function runNode(source: string, prefix: readonly string[] = []): Promise<NodeResult> {
  const [command = process.execPath, ...args] = [...prefix, process.execPath, "--input-type=module", "--eval", source];
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], timeout: 120_000 });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const [status] = (await once(child, "close")) as [number | null];
  return { status, stdout, stderr };
}
