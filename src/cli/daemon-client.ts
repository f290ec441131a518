/** How commands find the daemon: --socket, else control.socket of the configuration if it can be read, else the usual place. */
import { existsSync } from "node:fs";
import { systemClock } from "../clock.ts";
import { type ControlClient, createControlClient } from "../control/client.ts";
import { selectControlPath } from "../control/path.ts";
import { errorCode, StunmeshError } from "../errors.ts";
import { type CommonOptions, load } from "./load.ts";

export interface ClientCommandOptions extends CommonOptions {
  readonly socket?: string | undefined;
}

/** Finds the daemon; nothing is asked yet. Throws USAGE, CONFIG_NOT_FOUND for a file that was named, CONTROL_UNAVAILABLE. */
export async function openClient(options: ClientCommandOptions, signal: AbortSignal): Promise<ControlClient> {
  if (options.socket === "") throw new StunmeshError("USAGE", "Cannot use --socket: it is empty");
  const path = options.socket ?? (await findPath(options));
  return createControlClient({ path, clock: systemClock, signal });
}

async function findPath(options: CommonOptions): Promise<string> {
  const configured = await readConfigured(options);
  const path = selectControlPath({ configured, environment: process.env, hasRun: existsSync("/run") });
  if (path !== undefined) return path;
  throw new StunmeshError("CONTROL_UNAVAILABLE", "Cannot ask the daemon: control.socket of the configuration is off");
}

async function readConfigured(options: CommonOptions): Promise<string | undefined> {
  try {
    const { config } = await load({ ...options, logLevel: "silent", lenient: true }, { logTo: 2 });
    return config.control?.socket;
  } catch (error) {
    const isNamed = options.config !== undefined || options.configDir !== undefined;
    if (isNamed && (errorCode(error) === "CONFIG_NOT_FOUND" || errorCode(error) === "USAGE")) throw error;
    // Not everybody who may use the socket may read the configuration, and a daemon can be asked what is wrong with it.
    return undefined;
  }
}
