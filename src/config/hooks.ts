/**
 * The `hooks` blocks: programs to run when something happens to a peer. What a peer says about an event wins over what the
 * file says for all; an empty list there is no program.
 */
import * as z from "zod";
import { HOME_PATH_PROBLEM, isHomePath } from "../home-path.ts";
import { isMapping } from "./document.ts";
import { durationField, wanted } from "./fields.ts";
import { explainUnknownKey } from "./keys.ts";
import type { HookConfig, HookEvent, PeerHooks } from "./types.ts";

const WANTED = "a list such as [/usr/local/bin/notify, up], or a mapping with command, args and timeout";

const argument = z.union([z.string(), z.number().transform(String)]).refine((text) => !text.includes("\0"), {
  error: "a NUL character cannot be passed on",
});
const args = z.array(argument);

/** The keys are those of the plugin `exec`. */
const hookMapping = z.strictObject({
  command: argument
    .refine((text) => text !== "", { error: "must not be empty" })
    .refine((text) => !isHomePath(text), { error: HOME_PATH_PROBLEM }),
  args: args.default([]),
  timeout: durationField().prefault("30s"),
});

/** The two forms for editors. To the schema a hook is anything, so that it complains about the form that was meant. */
const jsonForms = [
  { type: "array", items: { type: "string" } },
  {
    type: "object",
    properties: {
      command: { type: "string" },
      args: { type: "array", items: { type: "string" } },
      timeout: { type: "string", default: "30s" },
    },
    required: ["command"],
    additionalProperties: false,
  },
];

/** A program, as a list of its name and arguments or as a mapping; `none` for an empty list. */
function hookField(description: string) {
  return z
    .any()
    .transform((hook: unknown, context): HookConfig | "none" => {
      if (Array.isArray(hook) && hook.length === 0) return "none";
      const [command, ...rest]: readonly unknown[] = Array.isArray(hook) ? hook : [];
      const form = Array.isArray(hook) ? { command, args: rest } : hook;
      if (!isMapping(form)) {
        context.issues.push({ code: "custom", message: wanted(WANTED)({ input: hook }), input: hook });
        return z.NEVER;
      }
      const parsed = hookMapping.safeParse(form);
      if (parsed.success)
        return { command: parsed.data.command, args: parsed.data.args, timeoutMs: parsed.data.timeout };
      for (const issue of parsed.error.issues) {
        if (issue.code === "unrecognized_keys") {
          // An error in any case: without the whole mapping there is no hook.
          for (const key of issue.keys) {
            const message = explainUnknownKey(key, Object.keys(hookMapping.shape));
            context.issues.push({ code: "custom", message, path: [key], input: hook });
          }
          continue;
        }
        const path = Array.isArray(hook) ? [issue.path[0] === "command" ? 0 : Number(issue.path[1]) + 1] : issue.path;
        context.issues.push({ ...issue, path, input: hook } as z.core.$ZodRawIssue);
      }
      return z.NEVER;
    })
    .optional()
    .meta({ description, anyOf: jsonForms });
}

export const hooksBlock = z.strictObject({
  on_up: hookField("Program to run when the tunnel to a peer works, after it did not"),
  on_down: hookField("Program to run when the tunnel to a peer does not work any more"),
  on_endpoint: hookField("Program to run when WireGuard has another endpoint for a peer"),
});

type HooksBlock = z.output<typeof hooksBlock>;

/** The hooks of one peer; undefined when it has none. */
export function selectHooks(own: HooksBlock | undefined, all: HooksBlock | undefined): PeerHooks["hooks"] | undefined {
  const hooks: { [event in HookEvent]?: HookConfig } = {};
  for (const event of ["up", "down", "endpoint"] as const) {
    const hook = own?.[`on_${event}`] ?? all?.[`on_${event}`] ?? "none";
    if (hook !== "none") hooks[event] = hook;
  }
  return Object.keys(hooks).length > 0 ? hooks : undefined;
}
