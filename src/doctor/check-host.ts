/** Checks of this host, whatever the interface. Pure. */
import type { HostFacts } from "./facts.ts";
import type { Check, Finding } from "./finding.ts";

const subject = "host";
/** capabilities(7). */
const CAPABILITIES = { CAP_NET_ADMIN: 12n, CAP_NET_RAW: 13n } as const;
/** A host whose clock says an earlier time was never told the time. */
const PLAUSIBLE_MS = Date.UTC(2026, 0, 1);

export const hostChecks: readonly Check<HostFacts>[] = [
  ({ configPath, summary, warnings }) => [
    { level: "ok", check: "configuration", subject, text: `${configPath}: ${summary}` },
    ...warnings.map((text): Finding => ({ level: "warn", check: "configuration", subject, text })),
  ],
  checkProgram,
  checkPrivileges,
  checkClock,
];

function checkProgram({ nodeVersion, nativeError }: HostFacts): readonly Finding[] {
  const check = "program";
  if (nativeError === undefined) return [{ level: "ok", check, subject, text: `Node.js ${nodeVersion}, koffi works` }];
  const hint = "install the module koffi beside the program: npm install koffi";
  return [{ level: "fail", check, subject, text: nativeError, hint }];
}

function checkPrivileges({ isRoot, capabilities }: HostFacts): readonly Finding[] {
  const check = "privileges";
  if (capabilities === undefined) {
    if (isRoot) return [{ level: "ok", check, subject, text: "runs as root" }];
    const hint = "run the doctor as root";
    return [{ level: "fail", check, subject, text: "not root: probing and WireGuard are not possible", hint }];
  }
  const missing = Object.entries(CAPABILITIES).flatMap(([name, bit]) =>
    (capabilities >> bit) & 1n ? [] : [name as keyof typeof CAPABILITIES],
  );
  if (missing.length === 0) return [{ level: "ok", check, subject, text: "CAP_NET_RAW and CAP_NET_ADMIN are there" }];
  return [
    {
      // WireGuard in user space does without CAP_NET_ADMIN.
      level: missing.includes("CAP_NET_RAW") ? "fail" : "warn",
      check,
      subject,
      text: `this process lacks ${missing.join(" and ")}`,
      hint: "run it as root, or with these capabilities",
    },
  ];
}

function checkClock({ isClockSynchronized, nowMs }: HostFacts): readonly Finding[] {
  const check = "clock";
  if (nowMs < PLAUSIBLE_MS) {
    const text = `this host's clock says ${new Date(nowMs).toISOString()}, which cannot be`;
    const hint = "set the clock; records carry no protection against replay until then";
    return [{ level: "fail", check, subject, text, hint }];
  }
  if (isClockSynchronized === undefined) return [];
  if (isClockSynchronized) return [{ level: "ok", check, subject, text: "the clock is synchronized" }];
  const hint = "look at timedatectl; peers refuse records that seem older than those before";
  return [{ level: "warn", check, subject, text: "the clock is not synchronized", hint }];
}
