/** Logs network interfaces that a discovery could not listen on: once while that lasts, whatever number of discoveries. */
import type { Family } from "./address.ts";
import { createFailureLog } from "./failures.ts";
import type { Log } from "./log.ts";

/** One opening of a socket for discovery. */
export interface LeftOutReport {
  /** An interface cannot be listened on, or not any more; the others can. */
  onSkipped(skipped: { readonly interface: string; readonly reason: string }): void;
  /** The socket is open: whatever was left out before and is not now has ended. */
  onOpen(): void;
}

/** Begins a report for the WireGuard interface `device` and one family. */
export type ReportLeftOut = (options: { readonly device: string; readonly family: Family }) => LeftOutReport;

export function createReportLeftOut(log: Log): ReportLeftOut {
  const failures = createFailureLog(log);
  /** By device and family, what the last opening left out. */
  const last = new Map<string, ReadonlySet<string>>();
  return ({ device, family }) => {
    const before = last.get(`${device} ${family}`) ?? new Set();
    const now = new Set<string>();
    const keyOf = (name: string) => `${device} ${family} ${name}`;
    const fieldsOf = (name: string) => ({ interface: device, family, names: [name] });
    return {
      onSkipped({ interface: name, reason }) {
        now.add(name);
        last.set(`${device} ${family}`, now);
        failures.failed(keyOf(name), reason, { message: "network interface left out", fields: fieldsOf(name) });
      },
      onOpen() {
        last.set(`${device} ${family}`, now);
        for (const name of before) {
          if (now.has(name)) continue;
          failures.ended(keyOf(name), { message: "network interface no longer left out", fields: fieldsOf(name) });
        }
      },
    };
  };
}
