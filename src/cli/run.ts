/** `stunmesh-ts run`: keeps the peers of every configured interface reachable until told to stop. */
import { createClaims } from "../claims.ts";
import { systemClock } from "../clock.ts";
import type { Config } from "../config/types.ts";
import { type Daemon, startDaemon, withPeers } from "../daemon.ts";
import { describeError } from "../errors.ts";
import type { Log } from "../log.ts";
import { openParts } from "../parts.ts";
import { selectStateDirectory } from "../state/directory.ts";
import { version } from "../version.ts";
import { assertInterfaces, type CommonOptions, load } from "./load.ts";
import { openMemory } from "./memory.ts";
import { runOneshot } from "./oneshot.ts";

/** A one-shot command that is just reading the memory has the lock for some milliseconds. */
const LOCK_WAIT_MS = 1_000;

export interface RunOptions extends CommonOptions {
  readonly oneshot?: boolean | undefined;
}

/** Resolves with the exit code when `signal` is aborted. Throws what starting throws, and errors that waiting cannot help. */
export async function run(options: RunOptions, signal: AbortSignal): Promise<number> {
  const { config, log } = await load(options, { logTo: 1 });
  assertInterfaces(config);
  const interfaces = withPeers(config);
  const parts = await openParts({ config, clock: systemClock, log });
  if (options.oneshot) {
    const memoryOf = (name: string) => openMemory(name, { config, log, platform: parts.platform.name });
    return runOneshot({ interfaces, parts, memoryOf, signal, clock: systemClock, log });
  }
  const directory = selectStateDirectory({
    configured: config.stateDirectory,
    environment: process.env,
    platform: parts.platform.name,
  });
  const claims = createClaims({ directory, clock: systemClock, log, waitMs: LOCK_WAIT_MS });
  log.info({ version, path: config.path, names: interfaces.map(({ name }) => name) }, "started");
  const daemon = await startDaemon(config, { clock: systemClock, log, parts, claims, signal });
  const forget = handleSignals({ daemon, log, reread: () => load(options, { logTo: 1 }).then(({ config }) => config) });
  try {
    await daemon.ended;
  } finally {
    forget();
    await parts.close();
  }
  log.info({}, "stopped");
  return 0;
}

interface Handled {
  readonly daemon: Daemon;
  readonly log: Log;
  /** Reads the configuration again. */
  reread(): Promise<Config>;
}

/** SIGHUP: read the configuration again. SIGUSR1: refresh everything now. Returns what undoes it. */
function handleSignals({ daemon, log, reread }: Handled): () => void {
  let reloading = Promise.resolve();
  async function reload(): Promise<void> {
    try {
      await daemon.reload(await reread());
      log.info({}, "configuration reloaded");
    } catch (error) {
      log.error({ err: describeError(error), hint: "nothing was changed" }, "configuration not reloaded");
    }
  }
  const onHangup = () => {
    reloading = reloading.then(reload);
  };
  const onUser = () => daemon.refresh("failure");
  process.on("SIGHUP", onHangup);
  process.on("SIGUSR1", onUser);
  return () => {
    process.off("SIGHUP", onHangup);
    process.off("SIGUSR1", onUser);
  };
}
