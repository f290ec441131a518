/**
 * Trusts no backend: what comes out of a store is text of a sensible size, and what it throws is an error of ours.
 */
import { StunmeshError } from "../../errors.ts";
import { storeAction } from "../action.ts";
import type { Store } from "../types.ts";
import { MAX_VALUE_CHARS } from "../value.ts";
import { wrapStore } from "./wrap.ts";

/** Anyone may write to some backends. So many that look like a sealed record are opened; a node of OpenDHT keeps no more under a key. */
const MAX_SEALED = 1024;
/** Of others a few are enough to say what is wrong with them. */
const MAX_OTHERS = 64;
/** Hexadecimal of a nonce, a tag and a little text; one with everything that is known has less than 500 characters. */
const sealedForm = /^[0-9a-fA-F]{80,2048}$/;

/**
 * A store that passes values which look like a sealed record before all others, so that junk cannot take their place. It drops
 * values which are no text, have more than 64 Ki characters or a NUL, and throws STORE_REPLY_INVALID when
 * nothing else is left; other errors than a StunmeshError become STORE_FAILED. `name` is that of the plugin instance.
 */
export function checkReplies(store: Store, { name }: { readonly name: string }): Store {
  const guarded = wrapStore(store, async ({ operation, signal, run }) => {
    signal.throwIfAborted();
    try {
      return await run(signal);
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof StunmeshError) throw error;
      const why = error instanceof Error ? error.message : String(error);
      throw new StunmeshError("STORE_FAILED", `Cannot ${storeAction(operation, name)}: ${why}`, { cause: error });
    }
  });
  return {
    ...guarded,
    async get(key, signal) {
      const values: unknown = await guarded.get(key, signal);
      if (!Array.isArray(values)) throw invalid(name, "the plugin returned no list of values");
      const texts = values.filter(isSensible);
      if (values.length > 0 && texts.length === 0) {
        throw invalid(name, "no value is text of at most 64 Ki characters without NUL");
      }
      const sealed: string[] = [];
      const others: string[] = [];
      for (const text of texts) {
        if (sealedForm.test(text)) sealed.push(text);
        else if (text !== "") others.push(text);
      }
      return [...sealed.slice(0, MAX_SEALED), ...others.slice(0, MAX_OTHERS)];
    },
  };
}

function isSensible(value: unknown): value is string {
  return typeof value === "string" && value.length <= MAX_VALUE_CHARS && !value.includes("\0");
}

function invalid(name: string, why: string): StunmeshError {
  return new StunmeshError("STORE_REPLY_INVALID", `Cannot ${storeAction("get", name)}: ${why}`);
}
