/** The control socket of a running daemon. Without it the daemon goes on, and says so once. */
import { existsSync } from "node:fs";
import { systemClock } from "../clock.ts";
import type { Config } from "../config/types.ts";
import { selectControlPath } from "../control/path.ts";
import type { ControlServer } from "../control/server.ts";
import type { Daemon } from "../daemon.ts";
import { describeError } from "../errors.ts";
import type { Events } from "../events.ts";
import type { Log } from "../log.ts";
import type { Reload } from "./reread.ts";

interface ControlOptions {
  readonly config: Pick<Config, "control">;
  readonly reload: Reload;
  readonly events: Events;
  readonly log: Log;
}

/** Opens the socket unless the configuration says "off". Never rejects; undefined = there is none. */
export async function openControl(
  daemon: Daemon,
  { config, reload, events, log }: ControlOptions,
): Promise<ControlServer | undefined> {
  const { socket: configured, group } = config.control ?? {};
  const path = selectControlPath({ configured, environment: process.env, hasRun: existsSync("/run") });
  if (path === undefined) return undefined;
  const controlled = {
    status: daemon.status,
    refresh: (only?: { readonly interface: string; readonly peer: string }) => daemon.refresh("failure", only),
    async reload() {
      const error = await reload();
      if (error !== undefined) throw error;
    },
    subscribe: events.subscribe,
  };
  try {
    const { openControlServer } = await import("../control/server.ts");
    return await openControlServer(controlled, { path, group, log, clock: systemClock });
  } catch (error) {
    const hint = "goes on without: status, refresh and reload are not possible";
    log.warn({ path, err: describeError(error), hint }, "control socket is not open");
    return undefined;
  }
}
