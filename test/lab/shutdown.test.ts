/** The end of a daemon: at once, with 0, and nothing it started lives on, whatever hangs. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { meshConfig, startDaemon } from "./daemon.ts";
import { type Lab, type LabHost, openLab } from "./lab.ts";
import { waitFor } from "./wait.ts";

/** What hangs does so for 1000 s. */
const STOP_WITHIN_MS = 10_000;
/** Does not end when it is asked to, and neither does what it started. */
const HANGING = `trap '' TERM INT HUP; echo $$ >>"$1"; sh -c "trap '' TERM INT HUP; echo \\$\\$ >>'$1'; sleep 1000" & wait; sleep 1000`;

describe("SIGTERM", () => {
  let lab: Lab;
  before(async () => {
    lab = await openLab({ sites: [{}, {}, {}], services: ["stun1"] });
  });
  after(() => lab.close());

  const cases: readonly { readonly while: string; readonly stun: "stun1" | "dead"; readonly plugin: string }[] = [
    { while: "a plugin hangs that ignores it", stun: "stun1", plugin: "hanging" },
    { while: "no STUN server answers", stun: "dead", plugin: "shared" },
  ];
  for (const { while: situation, stun, plugin } of cases) {
    test(`ends the daemon while ${situation}`, async (t) => {
      const host = lab.host(stun === "stun1" ? 1 : 2);
      const pidFile = join(lab.directory, `${plugin}.pids`);
      const daemon = await startDaemon(lab, host, { config: configWith(lab, host, { stun, plugin, pidFile }) });
      if (plugin === "hanging") {
        await waitFor(() => existsSync(pidFile) && readPids(pidFile).length >= 2, {
          what: "the plugin's two processes",
        });
      } else {
        await daemon.waitForEvent({ msg: "started" });
      }
      const started = performance.now();
      const { code, signal } = await daemon.process.stop();
      const ms = performance.now() - started;
      t.diagnostic(`ended after ${Math.round(ms)} ms`);
      assert.deepEqual({ code, signal }, { code: 0, signal: null });
      assert.ok(ms < STOP_WITHIN_MS, `${ms} ms`);
      await waitFor(() => readPids(pidFile).every((pid) => !isRunning(pid)), {
        what: "the end of the plugin's processes",
      });
    });
  }

  test("ends the daemon before it has begun", async () => {
    const host = lab.host(3);
    const daemon = await startDaemon(lab, host, {
      config: configWith(lab, host, { stun: "stun1", plugin: "shared", pidFile: "" }),
    });
    await daemon.process.waitForLine((line) => line.includes('"started"'));
    assert.deepEqual(await daemon.process.stop("SIGINT"), { code: 0, signal: null });
  });
});

function configWith(
  lab: Lab,
  host: LabHost,
  { stun, plugin, pidFile }: { readonly stun: "stun1" | "dead"; readonly plugin: string; readonly pidFile: string },
): object {
  return meshConfig(lab, host, {
    peers: lab.hosts.filter((peer) => peer !== host),
    stun: [lab.stun[stun].ipv4],
    pluginOf: () => plugin,
    plugins: {
      shared: { type: "file", path: join(lab.directory, "store") },
      hanging: { type: "exec", command: "sh", args: ["-c", HANGING, "sh", pidFile] },
    },
  });
}

function readPids(file: string): readonly number[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8").split("\n").filter(Boolean).map(Number);
}

function isRunning(pid: number): boolean {
  if (!existsSync(`/proc/${pid}/stat`)) return false;
  return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
}
