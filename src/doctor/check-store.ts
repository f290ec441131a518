/** Checks of the stores: a throw-away value there and back. Pure. */
import { formatDuration } from "../duration.ts";
import type { StoreFacts } from "./facts.ts";
import type { Check, Finding } from "./finding.ts";

/** A reply takes a second or two to come, and its date has no fractions. */
const SKEW_MS = 60_000;
const SLOW_MS = 5_000;

export const storeChecks: readonly Check<StoreFacts>[] = [checkRoundTrip, checkServerClock];

function checkRoundTrip({ name: subject, failed, writeMs = 0, readBackMs = 0 }: StoreFacts): readonly Finding[] {
  const check = "store";
  if (failed) {
    const hint = `see "${failed.code ?? "STORE_FAILED"}" in docs/errors.md; "stunmesh-ts store test ${subject}" tries it alone`;
    return [{ level: "fail", check, subject, text: `${failed.step} failed: ${failed.message}`, hint }];
  }
  const text = `writes in ${Math.round(writeMs)} ms, gives it back after ${Math.round(readBackMs)} ms`;
  if (writeMs + readBackMs < SLOW_MS) return [{ level: "ok", check, subject, text }];
  return [{ level: "info", check, subject, text, hint: "peers find each other that much later" }];
}

function checkServerClock({ name, clockSkewMs }: StoreFacts): readonly Finding[] {
  if (clockSkewMs === undefined || Math.abs(clockSkewMs) < SKEW_MS) return [];
  const [text, hint] = [
    `this host's clock is ${formatDuration(clockSkewMs)} ${clockSkewMs > 0 ? "behind" : "ahead of"} that of the store's server`,
    "set this host's clock; if it is right, the server's is wrong, which does no harm",
  ];
  return [{ level: "warn", check: "clock", subject: name, text, hint }];
}
