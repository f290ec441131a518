/**
 * What the `exec` and `shell` plugins share: their options, how a program is called, and how its failure is told from the
 * normal "nobody has published yet", which both protocols can only say as an error.
 */
import * as z from "zod";
import { StunmeshError } from "../errors.ts";
import { HOME_PATH_PROBLEM, isHomePath } from "../home-path.ts";
import { type StoreOperation, storeAction } from "./action.ts";
import { type ChildResult, runChild } from "./child.ts";
import { listSecrets, scrub } from "./scrub.ts";
import type { PluginContext } from "./types.ts";

export const commandSchema = z.strictObject({
  command: z
    .string()
    .min(1)
    .refine((path) => !isHomePath(path), HOME_PATH_PROBLEM)
    .describe("Program to run: a path, or a name looked up in PATH. No shell is involved."),
  args: z
    .array(z.union([z.string(), z.number().transform(String)]))
    .default([])
    .describe("Arguments of the program. Visible to every user of the machine in the list of processes."),
});
export type CommandOptions = z.output<typeof commandSchema>;

/** Their scripts often write one DNS TXT string. */
export const COMMAND_MAX_VALUE_CHARS = 255;

export interface CommandCall {
  readonly operation: StoreOperation;
  readonly key: string;
  readonly value?: string;
  readonly input: string;
  readonly signal: AbortSignal;
  readonly isEnough: (stdout: Buffer) => boolean;
}

export interface CommandResult extends Omit<ChildResult, "stderr"> {
  /**
   * What went wrong, fit for a message: `why` in words of ours, what the program `said`, how it ended, and the end of its
   * standard error. Secrets are taken out of what the program wrote, never out of our own words.
   */
  describeFailure(reason?: { readonly why?: string; readonly said?: string | undefined }): string;
  /** True when this `get` failed only because there is no value under the key; `text` is what the program said, default standard error. */
  isAbsence(text?: string): boolean;
}

/** Runs the program of `options` for one call. Throws as runChild does. */
export async function callCommand(
  { options, context }: { readonly options: CommandOptions; readonly context: PluginContext },
  call: CommandCall,
): Promise<CommandResult> {
  const { operation, key, value, input, signal, isEnough } = call;
  const action = storeAction(operation, context.name);
  const { command, args } = options;
  const result = await runChild({ command, args, input, clock: context.clock, signal, action, isEnough });
  const secrets = [...(value === undefined ? [] : [value]), ...listSecrets(args, process.env)];
  return {
    ...result,
    describeFailure({ why, said } = {}) {
      const parts = [why, said && scrub(said, secrets), result.failure, scrub(result.stderr, secrets)];
      return parts.filter((part) => part).join(": ");
    },
    isAbsence(text = result.stderr) {
      // 126 and 127 are the shell's: a tool the script needs is missing.
      if (operation !== "get" || result.status === 126 || result.status === 127) return false;
      return saysNothingThere(text, key);
    },
  };
}

/** A StunmeshError about a call to the plugin of `context`. */
export function commandError(
  code: "STORE_FAILED" | "STORE_REPLY_INVALID",
  details: {
    readonly context: PluginContext;
    readonly operation: StoreOperation;
    readonly why: string;
    readonly cause?: unknown;
  },
): StunmeshError {
  const { context, operation, why, cause } = details;
  return new StunmeshError(code, `Cannot ${storeAction(operation, context.name)}: ${why}`, { cause });
}

const absent = /not found|no such|no (value|record)|does not exist|nothing/i;
/** The same words about something that must be there: a tool, a file, a host, a zone. */
const somethingElse =
  /(command|path|host|zone|domain|server|module|library|interpreter) not found|not found in path|no such (file|host)/i;
/** `3: jq: not found` */
const shellSpeaking = /(\d|sh): [^:]+: not found/i;

/** Tells "there is no value" from other failures by its words; text that names the key is about the value. */
function saysNothingThere(text: string, key: string): boolean {
  if (!absent.test(text)) return false;
  return text.includes(key) || !(somethingElse.test(text) || shellSpeaking.test(text));
}
