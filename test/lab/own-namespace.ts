/** For a test file whose servers have fixed ports, or ports that were free a moment ago. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/**
 * Runs the calling file again where nothing but its own loopback exists, unless it runs there already; the test runner
 * reads its reports all the same. To be called before any test is declared, with `import.meta.url`.
 */
export function runInOwnNamespace(url: string): void {
  if (process.env.STUNMESH_OWN_NAMESPACE) return;
  const inside = 'ip link set lo up && exec "$@"';
  const self = [process.execPath, ...process.execArgv, fileURLToPath(url)];
  const env = { ...process.env, STUNMESH_OWN_NAMESPACE: "1" };
  const { status } = spawnSync("unshare", ["--net", "sh", "-c", inside, "sh", ...self], { stdio: "inherit", env });
  process.exit(status ?? 1);
}
