/**
 * The one place that loads koffi, the foreign function interface all native calls go through.
 *
 * It is loaded on first use: commands that touch no socket do not pay for it, and do not need it to be installed.
 */
import { StunmeshError } from "../../errors.ts";

export type Koffi = typeof import("koffi").default;

let loading: Promise<Koffi> | undefined;

/** Loads koffi once. Throws NATIVE_UNAVAILABLE when it is not installed or has no binary for this system. */
export function loadKoffi(): Promise<Koffi> {
  loading ??= importKoffi();
  return loading;
}

async function importKoffi(): Promise<Koffi> {
  try {
    return (await import("koffi")).default;
  } catch (cause) {
    throw new StunmeshError(
      "NATIVE_UNAVAILABLE",
      `Cannot load the native library "koffi" for ${process.platform} ${process.arch}: ${firstLine(cause)}; ` +
        "install it beside this program with its optional dependencies (npm install koffi)",
      { cause },
    );
  }
}

/** Module loaders add the stack of requires to their message; the first line says what is wrong. */
function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split("\n", 1)[0] ?? "";
}
