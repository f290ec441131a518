/** `stunmesh-ts store test <plugin>`: writes, reads back and times a throw-away value, and says what is wrong. */
import { hostname } from "node:os";
import { systemClock } from "../clock.ts";
import { createThrowAway, readBack } from "../doctor/round-trip.ts";
import { describeError, errorCode, errorKinds, StunmeshError } from "../errors.ts";
import { openParts } from "../parts.ts";
import type { Store } from "../plugins/types.ts";
import { printable } from "../printable.ts";
import { type CommonOptions, load } from "./load.ts";

const READ_BACK_TIMEOUT_MS = 20_000;

export interface StoreTestOptions extends CommonOptions {
  /** Name of the plugin in the configuration. */
  readonly plugin: string;
}

/** Resolves with 0 when the value came back, else with what the error asks for. Throws USAGE for an unknown name. */
export async function testStore(options: StoreTestOptions, signal: AbortSignal): Promise<number> {
  const { config, log } = await load(options, { logTo: 2 });
  const parts = await openParts({ config, clock: systemClock, log });
  try {
    const named = parts.stores().get(options.plugin);
    if (!named) {
      const known = [...parts.stores().keys()].join(", ") || "none";
      throw new StunmeshError("USAGE", `Cannot test "${options.plugin}": no plugin has that name, there are: ${known}`);
    }
    return await roundTrip(named.store, signal);
  } finally {
    await parts.close();
  }
}

async function roundTrip(store: Store, signal: AbortSignal): Promise<number> {
  const throwAway = createThrowAway(hostname());
  const { keys, value } = throwAway;
  try {
    const startMs = systemClock.monotonic();
    await store.set(keys[0], value, signal);
    const setMs = systemClock.monotonic();
    console.log(`write  ok      ${Math.round(setMs - startMs)} ms`);
    const isBack = await readBack(store, { ...throwAway, timeoutMs: READ_BACK_TIMEOUT_MS, clock: systemClock, signal });
    const getMs = systemClock.monotonic();
    if (!isBack) {
      console.log(
        `read   FAILED  what was written does not come back within ${READ_BACK_TIMEOUT_MS / 1000} s: does the store keep what it takes, and is it read where it is written?`,
      );
      return errorKinds.STORE_FAILED.exitCode;
    }
    console.log(`read   ok      ${Math.round(getMs - setMs)} ms until it came back`);
    return 0;
  } catch (error) {
    if (signal.aborted) throw error;
    console.log(printable(`FAILED ${describeError(error)}`));
    return errorKinds[errorCode(error) ?? "STORE_FAILED"].exitCode;
  }
}
