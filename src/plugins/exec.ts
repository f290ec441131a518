/**
 * `exec`: a program that is asked in JSON, as STUNMESH-go asks it.
 *
 * One line `{"action":"get|set","key":"...","value":"..."}` on standard input; one object
 * `{"success":true,"value":"..."}` or `{"success":false,"error":"..."}` on standard output, whatever follows it is ignored.
 */

import type { StoreOperation } from "./action.ts";
import { COMMAND_MAX_VALUE_CHARS, type CommandResult, callCommand, commandError, commandSchema } from "./command.ts";
import { firstJsonObject } from "./first-json.ts";
import type { Plugin, PluginContext } from "./types.ts";

interface Reply {
  readonly success: boolean;
  readonly value: unknown;
  readonly error: string;
}

export const exec: Plugin<typeof commandSchema> = {
  schema: commandSchema,
  maxValueChars: COMMAND_MAX_VALUE_CHARS,
  open(options, context) {
    async function call(
      operation: StoreOperation,
      request: { readonly key: string; readonly value?: string; readonly signal: AbortSignal },
    ) {
      const { signal, ...keyAndValue } = request;
      const input = `${JSON.stringify({ action: operation, ...keyAndValue })}\n`;
      const isEnough = (stdout: Buffer) => firstJsonObject(stdout) !== undefined;
      const result = await callCommand({ options, context }, { operation, ...request, input, isEnough });
      return judge(result, { context, operation });
    }
    return {
      async get(key, signal) {
        const reply = await call("get", { key, signal });
        const value = reply?.value ?? "";
        if (typeof value !== "string") {
          throw commandError("STORE_REPLY_INVALID", {
            context,
            operation: "get",
            why: `"value" is a ${typeof value}, a string is wanted`,
          });
        }
        return value === "" ? [] : [value];
      },
      async set(key, value, signal) {
        await call("set", { key, value, signal });
      },
    };
  },
};

/** The reply of a call that succeeded; undefined when a `get` found nothing; throws for all else. */
function judge(
  result: CommandResult,
  { context, operation }: { readonly context: PluginContext; readonly operation: StoreOperation },
): Reply | undefined {
  const reply = parseReply(result.stdout);
  if (reply?.success === false) {
    if (result.isAbsence(reply.error)) return undefined;
    const why = result.describeFailure(
      reply.error === "" ? { why: "the plugin reports a failure without saying which" } : { said: reply.error },
    );
    throw commandError("STORE_FAILED", { context, operation, why });
  }
  if (result.failure !== undefined) {
    throw commandError("STORE_FAILED", { context, operation, why: result.describeFailure({ said: reply?.error }) });
  }
  if (!reply) {
    const why = result.describeFailure({
      why:
        result.stdout.length === 0
          ? "nothing on standard output, a JSON object is wanted"
          : 'standard output does not begin with a JSON object {"success":true|false, ...}',
    });
    throw commandError("STORE_REPLY_INVALID", { context, operation, why });
  }
  return reply;
}

/** Names are compared without case and null counts as missing, as Go's decoder does: existing plugins rely on their not caring. */
function parseReply(stdout: Buffer): Reply | undefined {
  const bytes = firstJsonObject(stdout);
  if (!bytes) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    // The parser's own message quotes the text, and with it the value: it goes no further.
    return undefined;
  }
  if (typeof parsed !== "object" || parsed === null) return undefined;
  const members = new Map(Object.entries(parsed).map(([name, member]) => [name.toLowerCase(), member]));
  const success: unknown = members.get("success") ?? false;
  const error: unknown = members.get("error") ?? "";
  if (typeof success !== "boolean" || typeof error !== "string") return undefined;
  return { success, value: members.get("value"), error };
}
