/**
 * A rehearsal: the discovery of the daemon, in its order and with its deadline. That a server answers the doctor, who asks it
 * alone, does not mean that a daemon ever gets to it.
 */
import type { Clock } from "../clock.ts";
import { describeError, errorCode } from "../errors.ts";
import { discover } from "../stun/discover.ts";
import type { SessionOptions } from "../stun/session.ts";
import type { DiscoveryFacts } from "./facts.ts";

export interface Rehearsal {
  /** Never rejects; after cancel() it does not say anything of use. */
  readonly facts: Promise<DiscoveryFacts>;
  cancel(): void;
}

/** Begins to discover as a daemon does that has just been started. */
export function rehearse(session: SessionOptions, { clock }: { readonly clock: Clock }): Rehearsal {
  const stop = new AbortController();
  const cancel = () => stop.abort();
  session.signal.addEventListener("abort", cancel, { once: true });
  return { cancel, facts: run().finally(() => session.signal.removeEventListener("abort", cancel)) };

  async function run(): Promise<DiscoveryFacts> {
    const startMs = clock.monotonic();
    const asked: string[] = [];
    const ended = (serverName: string | undefined, failure: DiscoveryFacts["failure"]): DiscoveryFacts => {
      return { serverName, failure, asked, tookMs: clock.monotonic() - startMs };
    };
    try {
      const found = await discover({ ...session, signal: stop.signal, onTurn: (name) => asked.push(name) });
      return ended(found.serverName, undefined);
    } catch (error) {
      return ended(undefined, { message: describeError(error), code: errorCode(error) });
    }
  }
}
