/** `stunmesh-ts run`: keeps the peers of every configured interface reachable until told to stop. */
import { systemClock } from "../clock.ts";
import { StunmeshError } from "../errors.ts";
import { startInterfaceLoop } from "../interface-loop.ts";
import { openParts } from "../parts.ts";
import { version } from "../version.ts";
import { type CommonOptions, load } from "./load.ts";
import { runOneshot } from "./oneshot.ts";

export interface RunOptions extends CommonOptions {
  readonly oneshot?: boolean | undefined;
}

/** Resolves with the exit code when `signal` is aborted. Throws what starting throws, and errors that waiting cannot help. */
export async function run(options: RunOptions, signal: AbortSignal): Promise<number> {
  const { config, log } = await load(options, { logTo: 1 });
  const interfaces = config.interfaces.filter(({ peers }) => peers.length > 0);
  if (interfaces.length === 0) {
    throw new StunmeshError("CONFIG_INVALID", `Cannot start: "${config.path}" has no interface with peers`);
  }
  const parts = await openParts({ config, clock: systemClock, log });
  if (options.oneshot) return runOneshot({ interfaces, parts, signal, clock: systemClock, log });
  log.info({ version, path: config.path, names: interfaces.map(({ name }) => name) }, "started");
  const stop = new AbortController();
  const onAbort = () => stop.abort(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  if (signal.aborted) onAbort();
  const loops = interfaces.map((one) => startInterfaceLoop(parts.forInterface(one), stop.signal));
  const ended = loops.map((loop) => loop.ended);
  try {
    await Promise.all(ended);
  } finally {
    stop.abort(signal.reason);
    await Promise.allSettled(ended);
    await parts.close();
  }
  log.info({}, "stopped");
  return 0;
}
