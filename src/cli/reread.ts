/** Reading the configuration again, on a signal or over the control socket: one after the other, all or nothing. */
import type { Config } from "../config/types.ts";
import type { Daemon } from "../daemon.ts";
import { describeError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Outside } from "./outside.ts";

/** Resolves with why the configuration was not taken into use; undefined when it was. Never rejects. */
export type Reload = () => Promise<unknown>;

export function createReload({ daemon, outside, log, reread }: ReloadDeps): Reload {
  let reloading: Promise<unknown> = Promise.resolve();

  async function reload(): Promise<unknown> {
    try {
      await outside.reload(async () => {
        const next = await reread();
        await daemon.reload(next);
        return next;
      });
      log.info({}, "configuration reloaded");
      return undefined;
    } catch (error) {
      daemon.refused(error);
      log.error({ err: describeError(error), hint: "nothing was changed" }, "configuration not reloaded");
      return error;
    }
  }

  return () => {
    reloading = reloading.then(reload);
    return reloading;
  };
}

interface ReloadDeps {
  readonly daemon: Daemon;
  readonly outside: Pick<Outside, "reload">;
  readonly log: Log;
  /** Reads the configuration. */
  reread(): Promise<Config>;
}
