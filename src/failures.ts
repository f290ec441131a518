/** Logs a failure that lasts once as a warning, then at debug, and once more when it ends. */
import { describeError, errorCode } from "./errors.ts";
import type { Log, LogFields } from "./log.ts";

export interface FailureLog {
  /** Warns when `what` did not fail before, or failed for another reason; else debug. */
  failed(what: string, error: unknown, options: { readonly message: string; readonly fields?: LogFields }): void;
  /** Says that `what` works again, if it had failed. */
  ended(what: string, options: { readonly message: string; readonly fields?: LogFields }): void;
}

export function createFailureLog(log: Log): FailureLog {
  const reasons = new Map<string, string>();
  return {
    failed(what, error, { message, fields }) {
      const code = errorCode(error);
      const err = describeError(error);
      const reason = code ?? err;
      const line = { ...fields, ...(code && { code }), err };
      if (reasons.get(what) === reason) log.debug(line, message);
      else log.warn(line, message);
      reasons.set(what, reason);
    },
    ended(what, { message, fields }) {
      if (reasons.delete(what)) log.info(fields ?? {}, message);
    },
  };
}
