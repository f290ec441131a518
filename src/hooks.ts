/**
 * Hooks: programs of the user that are told when a tunnel comes up, goes down or moves.
 *
 * Nothing waits for them. A peer has one at a time; what happens meanwhile is summed up, so that the last thing a hook was
 * told is what is true now. They get a small environment of their own: that of the daemon may hold secrets of plugins.
 */
import type { Clock } from "./clock.ts";
import type { HookConfig, HookEvent, PeerHooks } from "./config/types.ts";
import { withDeadline } from "./deadline.ts";
import { describeError, errorCode, isAbort, StunmeshError } from "./errors.ts";
import { createFailureLog } from "./failures.ts";
import type { Log } from "./log.ts";
import type { PeerChange } from "./peer-change.ts";
import { runChild } from "./plugins/child.ts";
import { scrub } from "./plugins/scrub.ts";

/** Hooks that run at the same time, of all peers together. */
const MAX_RUNNING = 4;
/** What a program needs to find itself around. */
const passedOn = /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_\w+|TZ|TMPDIR)$/;

export interface HookChange extends PeerChange {
  readonly interface: string;
}

export interface Hooks {
  /** The hooks from now on. */
  use(hooks: readonly PeerHooks[]): void;
  /** Takes note of a change and returns at once. */
  tell(change: HookChange): void;
  /** Ends what runs, with all its processes, and starts nothing more. */
  close(): void;
}

interface HooksOptions {
  readonly clock: Clock;
  readonly log: Log;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** One peer: what it was told, and what it has to be told. */
interface Told {
  isUp: boolean;
  isRunning: boolean;
  /** At most one about the tunnel and one about the endpoint. */
  readonly waiting: Map<"tunnel" | "endpoint", HookChange>;
}

export function createHooks({ clock, log, environment }: HooksOptions): Hooks {
  const failures = createFailureLog(log);
  const stop = new AbortController();
  const base = Object.fromEntries(
    Object.entries(environment).flatMap(([name, value]) =>
      passedOn.test(name) && value !== undefined ? [[name, value]] : [],
    ),
  );
  let hooks = new Map<string, PeerHooks["hooks"]>();
  const peers = new Map<string, Told>();
  /** Peers that have something waiting, the one that waits longest first. */
  const queue = new Set<string>();
  let running = 0;

  /** The next program to run for a peer; what needs none counts as told. */
  function next(id: string, told: Told): { readonly change: HookChange; readonly hook: HookConfig } | undefined {
    for (const [kind, change] of told.waiting) {
      told.waiting.delete(kind);
      if (kind === "tunnel") {
        const isUp = change.event === "up";
        if (isUp === told.isUp) continue;
        told.isUp = isUp;
      }
      const hook = hooks.get(id)?.[change.event];
      if (hook) return { change, hook };
    }
    return undefined;
  }

  function startWaiting(): void {
    for (const id of queue) {
      if (running >= MAX_RUNNING || stop.signal.aborted) return;
      const told = peers.get(id);
      if (told?.isRunning) continue;
      queue.delete(id);
      const due = told && next(id, told);
      if (!told || !due) continue;
      running++;
      told.isRunning = true;
      if (told.waiting.size > 0) queue.add(id);
      void run(due.hook, due.change).finally(() => {
        running--;
        told.isRunning = false;
        startWaiting();
      });
    }
  }

  /** Never rejects. */
  async function run(hook: HookConfig, change: HookChange): Promise<void> {
    const { event, peer } = change;
    const fields = { interface: change.interface, peer: peer.name, hook: `on_${event}` };
    const what = `${event} ${change.interface}/${peer.name}`;
    const action = `run the hook on_${event}`;
    const startedMs = clock.monotonic();
    try {
      const result = await withDeadline({ clock, timeoutMs: hook.timeoutMs, signal: stop.signal, action }, (signal) =>
        runChild({
          ...hook,
          action,
          clock,
          signal,
          input: undefined,
          env: { ...base, ...environmentOf(change) },
          isEnough: () => true,
        }),
      );
      if (result.failure !== undefined) {
        const said = scrub(result.stderr, []);
        const why = said === "" ? result.failure : `${result.failure}: ${said}`;
        throw new Error(`Cannot ${action}: ${why}`);
      }
      failures.ended(what, { message: "hook works again", fields });
      log.debug({ ...fields, ms: Math.round(clock.monotonic() - startedMs) }, "hook done");
    } catch (error) {
      if (isAbort(error)) return;
      // That it cannot be started is said in words of stores.
      const failed = errorCode(error) === "TIMEOUT" ? error : new StunmeshError("HOOK_FAILED", describeError(error));
      failures.failed(what, failed, { message: "hook failed", fields });
    }
  }

  return {
    use(next) {
      hooks = new Map(next.map((one) => [idOf(one.interface, one.peer), one.hooks]));
    },
    tell(change) {
      const id = idOf(change.interface, change.peer.name);
      const told = peers.get(id) ?? { isUp: false, isRunning: false, waiting: new Map() };
      peers.set(id, told);
      if (change.event === "endpoint") {
        const previous = told.waiting.get("endpoint")?.previous ?? change.previous;
        if (previous === change.endpoint) told.waiting.delete("endpoint");
        else told.waiting.set("endpoint", { ...change, previous });
      } else {
        told.waiting.set("tunnel", change);
      }
      queue.add(id);
      startWaiting();
    },
    close() {
      stop.abort();
    },
  };
}

function idOf(interfaceName: string, peer: string): string {
  return `${interfaceName}/${peer}`;
}

/** What a hook is told. Texts that are not known are empty, so that a script may use `set -u`. */
function environmentOf(change: HookChange): Readonly<Record<string, string>> {
  const { event, peer, endpoint = "", previous = "", reason } = change;
  return {
    STUNMESH_EVENT: event satisfies HookEvent,
    STUNMESH_INTERFACE: change.interface,
    STUNMESH_PEER: peer.name,
    STUNMESH_PEER_PUBLIC_KEY: Buffer.from(peer.publicKey).toString("base64"),
    STUNMESH_ENDPOINT: endpoint,
    STUNMESH_PREVIOUS_ENDPOINT: previous,
    STUNMESH_REASON: reason,
  };
}
