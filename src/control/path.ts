/**
 * Where the control socket is: for the daemon, and for the commands that look for it.
 * Spec: $RUNTIME_DIRECTORY is of systemd.exec(5), RuntimeDirectory=; /run of the FHS, /var/run of hier(7).
 */
import { join } from "node:path";

interface SelectOptions {
  /** `control.socket` of the configuration: an absolute path, or "off". */
  readonly configured: string | undefined;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The system has /run. */
  readonly hasRun: boolean;
}

/** The configured path, else the one in the first directory of $RUNTIME_DIRECTORY, else the system's; undefined = off. */
export function selectControlPath({ configured, environment, hasRun }: SelectOptions): string | undefined {
  if (configured === "off") return undefined;
  const [given] = (environment.RUNTIME_DIRECTORY ?? "").split(":").filter((path) => path !== "");
  return configured ?? join(given ?? (hasRun ? "/run/stunmesh-ts" : "/var/run/stunmesh-ts"), "control.sock");
}
