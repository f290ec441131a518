/** `stunmesh-ts doctor`: finds out why peers are not reachable, and says it. Changes nothing. */
import { existsSync } from "node:fs";
import { systemClock } from "../clock.ts";
import { createControlClient } from "../control/client.ts";
import { selectControlPath } from "../control/path.ts";
import { withDeadline } from "../deadline.ts";
import { examine, type Section } from "../doctor/examine.ts";
import type { Finding, Level } from "../doctor/finding.ts";
import { openParts } from "../parts.ts";
import { printable, printableJson } from "../printable.ts";
import type { DaemonStatus } from "../status.ts";
import { version } from "../version.ts";
import { assertInterfaces, type CommonOptions, load } from "./load.ts";
import { selectPeers } from "./select.ts";

const DAEMON_TIMEOUT_MS = 3_000;
const WIDTH = 80;
const INDENT = 8;
const marks: Readonly<Record<Level, string>> = { ok: "ok", info: "info", warn: "WARN", fail: "FAIL" };
/** SGR parameters of the terminal. */
const colours: Readonly<Record<Level, string>> = { ok: "32", info: "36", warn: "33", fail: "31" };

export interface DoctorOptions extends CommonOptions {
  /** An interface, a peer or interface/peer; left out: all. */
  readonly name?: string | undefined;
  readonly json?: boolean | undefined;
}

/** Resolves with 0 when nothing is `fail`, else 1. Throws USAGE, and what is wrong with the configuration. */
export async function doctor(options: DoctorOptions, signal: AbortSignal): Promise<number> {
  const { config, warnings, log } = await load({ logLevel: "silent", ...options }, { logTo: 2 });
  assertInterfaces(config);
  const interfaces = selectPeers(config.interfaces, options.name === undefined ? [] : [options.name]);
  const parts = await openParts({ config, clock: systemClock, log });
  const print = options.json ? () => undefined : createPrinter();
  const findings: Finding[] = [];
  try {
    const environment = process.env;
    for await (const section of examine({
      config,
      interfaces,
      warnings,
      parts,
      clock: systemClock,
      environment,
      signal,
      daemon: askDaemon(config.control?.socket, signal),
    })) {
      findings.push(...section.findings);
      print(section);
    }
  } finally {
    await parts.close();
  }
  const isHealthy = !findings.some(({ level }) => level === "fail");
  if (options.json) console.log(printableJson({ version, path: config.path, ok: isHealthy, findings }));
  return isHealthy ? 0 : 1;
}

/** What the daemon knows; it has watched for longer than the doctor does. */
async function askDaemon(configured: string | undefined, signal: AbortSignal): Promise<DaemonStatus | undefined> {
  const path = selectControlPath({ configured, environment: process.env, hasRun: existsSync("/run") });
  if (path === undefined) return undefined;
  try {
    const action = "ask the daemon";
    return await withDeadline({ clock: systemClock, timeoutMs: DAEMON_TIMEOUT_MS, signal, action }, async (inner) => {
      const client = createControlClient({ path, clock: systemClock, signal: inner });
      return JSON.parse(await client.ask("GET", "/v1/status")) as DaemonStatus;
    });
  } catch {
    // None runs, it hangs, or it is not ours to ask: one more thing that is not known.
    return undefined;
  }
}

function createPrinter(): (section: Section) => void {
  const hasColour = process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "";
  const paint = (text: string, sgr: string) => (hasColour ? `\u001b[${sgr}m${text}\u001b[0m` : text);
  return ({ title, findings }) => {
    console.log(paint(printable(title), "1"));
    for (const { level, check, subject, text, hint } of findings) {
      const [first = "", ...rest] = wrap(printable(`${subject}: ${check === "verdict" ? "" : `${check}: `}${text}`));
      console.log(`  ${paint(marks[level].padEnd(INDENT - 2), colours[level])}${first}`);
      const more = hint === undefined ? [] : wrap(`-> ${printable(hint)}`);
      for (const line of [...rest, ...more]) console.log(`${" ".repeat(INDENT)}${line}`);
    }
    console.log("");
  };
}

/** Lines of what is left of the width; a word that is longer stands alone. */
function wrap(text: string): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > WIDTH - INDENT) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
