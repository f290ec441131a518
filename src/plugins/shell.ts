/**
 * `shell`: a program that is asked in lines a shell can read, as STUNMESH-go asks it.
 *
 * `STUNMESH_ACTION=get|set`, `STUNMESH_KEY=...` and for set `STUNMESH_VALUE=...` on standard input (not in the environment).
 * Exit status 0 is success; what a get writes to standard output, trimmed, is the value.
 */
import type { StoreOperation } from "./action.ts";
import { COMMAND_MAX_VALUE_CHARS, callCommand, commandError, commandSchema } from "./command.ts";
import type { Plugin } from "./types.ts";

/** Scripts run these lines (`. /dev/stdin`): a value with any other character could become a command. */
const harmless = /^[A-Za-z0-9+/=_.:@%,-]*$/;

export const shell: Plugin<typeof commandSchema> = {
  schema: commandSchema,
  maxValueChars: COMMAND_MAX_VALUE_CHARS,
  open(options, context) {
    async function call(
      operation: StoreOperation,
      request: { readonly key: string; readonly value?: string; readonly signal: AbortSignal },
    ) {
      const { key, value } = request;
      if (!harmless.test(key) || !harmless.test(value ?? "")) {
        const why = "the key or the value has a character that a shell would give a meaning to";
        throw commandError("STORE_FAILED", { context, operation, why });
      }
      const lines = [`STUNMESH_ACTION=${operation}`, `STUNMESH_KEY=${key}`];
      if (value !== undefined) lines.push(`STUNMESH_VALUE=${value}`);
      const input = `${lines.join("\n")}\n`;
      // What a set writes does not matter, however much it is.
      const isEnough = () => operation === "set";
      const result = await callCommand({ options, context }, { operation, ...request, input, isEnough });
      if (result.failure === undefined) return result.stdout;
      if (result.isAbsence()) return Buffer.alloc(0);
      throw commandError("STORE_FAILED", { context, operation, why: result.describeFailure() });
    }
    return {
      async get(key, signal) {
        const stdout = await call("get", { key, signal });
        try {
          const value = new TextDecoder("utf-8", { fatal: true }).decode(stdout).trim();
          return value === "" ? [] : [value];
        } catch (cause) {
          throw commandError("STORE_REPLY_INVALID", {
            context,
            operation: "get",
            why: "standard output is not UTF-8",
            cause,
          });
        }
      },
      async set(key, value, signal) {
        await call("set", { key, value, signal });
      },
    };
  },
};
