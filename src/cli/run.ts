/** `stunmesh-ts run`: keeps the peers of every configured interface reachable until told to stop. */
import { createClaims } from "../claims.ts";
import { systemClock } from "../clock.ts";
import { type Daemon, startDaemon, withPeers } from "../daemon.ts";
import { createEvents } from "../events.ts";
import { saveCode } from "../launched.ts";
import { openParts } from "../parts.ts";
import { selectStateDirectory } from "../state/directory.ts";
import { version } from "../version.ts";
import { openControl } from "./control.ts";
import { assertInterfaces, type CommonOptions, load } from "./load.ts";
import { openMemory } from "./memory.ts";
import { runOneshot } from "./oneshot.ts";
import { openOutside } from "./outside.ts";
import { createReload, type Reload } from "./reread.ts";

/** A one-shot command that is just reading the memory has the lock for some milliseconds. */
const LOCK_WAIT_MS = 1_000;
/** By then what a start needs is compiled, and the processor has time. */
const SAVE_CODE_AFTER_MS = 5_000;

export interface RunOptions extends CommonOptions {
  readonly oneshot?: boolean | undefined;
}

/** Resolves with the exit code when `signal` is aborted. Throws what starting throws, and errors that waiting cannot help. */
export async function run(options: RunOptions, signal: AbortSignal): Promise<number> {
  const { config, log: written } = await load(options, { logTo: 1 });
  const events = createEvents(systemClock);
  const log = events.tee(written);
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
  const outside = openOutside(config, { clock: systemClock, log, environment: process.env, pid: process.pid, signal });
  const onPeerChange = outside.changed;
  const daemon = await startDaemon(config, {
    clock: systemClock,
    log,
    parts,
    claims,
    signal,
    onPeerChange,
    onState: events.changed,
  });
  const reread = () => load(options, { logTo: 1 }).then(({ config }) => config);
  const reload = createReload({ daemon, outside, log, reread });
  const forget = handleSignals({ daemon, reload });
  const saving = systemClock.sleep(SAVE_CODE_AFTER_MS, signal).then(saveCode);
  saving.catch(() => {
    // It ends before that, or may not write beside its program: then the next start takes longer.
  });
  const control = openControl(daemon, { config, reload, events, log });
  try {
    // Who is told that it has started may ask it at once.
    await Promise.all([control.then(() => outside.started(daemon)), daemon.ended]);
  } finally {
    forget();
    await (await control)?.close();
    await outside.close();
    await parts.close();
  }
  log.info({}, "stopped");
  return 0;
}

/** SIGHUP: read the configuration again. SIGUSR1: refresh everything now. Returns what undoes it. */
function handleSignals({ daemon, reload }: { readonly daemon: Daemon; readonly reload: Reload }): () => void {
  const onHangup = () => void reload();
  const onUser = () => daemon.refresh("failure");
  process.on("SIGHUP", onHangup);
  process.on("SIGUSR1", onUser);
  return () => {
    process.off("SIGHUP", onHangup);
    process.off("SIGUSR1", onUser);
  };
}
