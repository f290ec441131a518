/**
 * Who outside is told how the daemon is: hooks, readers of metrics, the service manager. None of them can hold it up, and
 * none of their failures is one of the daemon.
 */
import type { Clock } from "../clock.ts";
import type { Config } from "../config/types.ts";
import { formatMetrics } from "../control/metrics.ts";
import { createMetricsListener } from "../control/metrics-listener.ts";
import { readProcessUsage } from "../control/process-usage.ts";
import type { Daemon } from "../daemon.ts";
import { createDebounce } from "../debounce.ts";
import { createHooks, type HookChange } from "../hooks.ts";
import type { Log } from "../log.ts";
import { type Notifier, openNotifier, takeNotifyTarget } from "../notify.ts";
import type { DaemonStatus } from "../status.ts";

export interface Outside {
  /** To be called for every change of a peer. */
  changed(change: HookChange): void;
  /** To be called once, when the daemon has started its loops. */
  started(daemon: Pick<Daemon, "status" | "hanging">): Promise<void>;
  /** Runs a reload, which gives the configuration that is in use then, and takes over what that says. Throws what it throws. */
  reload(run: () => Promise<Config>): Promise<void>;
  close(): Promise<void>;
}

/**
 * Takes what the service manager left in `environment` out of it, before a program is started with the rest. Everything
 * ends when `signal` is aborted.
 */
export function openOutside(
  config: Config,
  options: {
    readonly clock: Clock;
    readonly log: Log;
    readonly environment: Record<string, string | undefined>;
    readonly pid: number;
    readonly signal: AbortSignal;
  },
): Outside {
  const { clock, log, environment, pid, signal } = options;
  const target = takeNotifyTarget(environment, pid);
  const hooks = createHooks({ clock, log, environment });
  hooks.use(config.hooks ?? []);
  let daemon: Pick<Daemon, "status" | "hanging"> | undefined;
  let notifier: Notifier | undefined;
  let isStopping = false;

  const metrics = createMetricsListener({
    clock,
    log,
    async text() {
      if (!daemon) throw new Error("Cannot tell metrics: the daemon has not started");
      const status = daemon.status();
      return formatMetrics(status, await readProcessUsage(status.startedAt));
    },
  });

  function sayStatus(): void {
    if (daemon && target) notifier?.status(summarize(daemon.status()));
  }
  const debounce = createDebounce({ clock, quietMs: 300, maxMs: 2_000 }, sayStatus);

  function onAbort(): void {
    if (isStopping) return;
    isStopping = true;
    hooks.close();
    notifier?.stopping();
  }
  signal.addEventListener("abort", onAbort, { once: true });

  return {
    changed(change) {
      hooks.tell(change);
      if (target && !isStopping) debounce.call();
    },
    async started(running) {
      daemon = running;
      notifier = await openNotifier(target, { clock, log, hanging: running.hanging });
      sayStatus();
      notifier.ready();
      await metrics.use(config.metrics);
    },
    async reload(run) {
      notifier?.reloading();
      try {
        const next = await run();
        hooks.use(next.hooks ?? []);
        await metrics.use(next.metrics);
        sayStatus();
      } finally {
        notifier?.ready();
      }
    },
    async close() {
      signal.removeEventListener("abort", onAbort);
      onAbort();
      debounce.cancel();
      await metrics.close();
      await notifier?.close();
    },
  };
}

/** One line for `systemctl status`. */
function summarize({ interfaces }: DaemonStatus): string {
  const peers = interfaces.flatMap((one) => one.peers);
  const reachable = peers.filter(({ state }) => state === "reachable").length;
  return `${reachable} of ${peers.length} ${peers.length === 1 ? "peer" : "peers"} reachable`;
}
