/** Finds what a test's programs left behind: zombies, and processes that still run. */

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

const markName = "STUNMESH_TEST_MARK";

/** Marks the environment that programs started from now on inherit, so that they can be told from all others. */
export function markChildren(): string {
  const mark = randomBytes(8).toString("hex");
  process.env[markName] = mark;
  return mark;
}

/** Processes that carry the mark, and zombies among our own children; each as a line for a message. */
export function findStrays(mark: string): readonly string[] {
  if (process.platform !== "linux") {
    const lines = execFileSync("ps", ["axeww", "-o", "pid=,ppid=,stat=,command="], { encoding: "utf8" }).split("\n");
    return lines.filter((line) => line.includes(`${markName}=${mark}`) && !line.includes("ps axeww"));
  }
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        // The name, in parentheses, may itself have spaces and parentheses.
        const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
        const isOurZombie = state === "Z" && parent === String(process.pid);
        const isMarked = readFileSync(`/proc/${pid}/environ`, "utf8").includes(`${markName}=${mark}`);
        return isOurZombie || isMarked ? [`${pid} ${state} ${readFileSync(`/proc/${pid}/cmdline`, "utf8")}`] : [];
      } catch {
        // It ended while we looked at it.
        return [];
      }
    });
}

/** Waits until nothing is left, at most a minute, and returns what still is, which is then killed: a failed test leaves nothing behind. */
export async function waitForNoStrays(mark: string): Promise<readonly string[]> {
  const end = performance.now() + 60_000;
  for (;;) {
    const strays = findStrays(mark);
    if (strays.length === 0) return strays;
    if (performance.now() > end) {
      for (const stray of strays) killIfRunning(Number.parseInt(stray, 10));
      return strays;
    }
    await delay(20);
  }
}

function killIfRunning(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended meanwhile.
  }
}
