import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, test } from "node:test";
import { systemClock as clock } from "../../src/clock.ts";
import { listDevices } from "../../src/wg/list.ts";
import { createKeyPair } from "../fakes/wg-device.ts";
import { installFakeTool } from "../fakes/wg-tool.ts";

const { signal } = new AbortController();
const device = { privateKey: createKeyPair().privateKey, listenPort: 1, firewallMark: 0, peers: [] };

const cleanups: (() => unknown)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0).reverse()) cleanup();
});

function createTestDir(): string {
  const dir = mkdtempSync(join(tmpdir(), "stunmesh-wg-"));
  cleanups.push(() => rmSync(dir, { recursive: true }));
  return dir;
}

test("listDevices names the interfaces of both kinds once, and nothing that cannot be one", async () => {
  const dir = createTestDir();
  for (const name of ["wg1.sock", "utun4.sock", "wg0.name", "a b.sock", "all.sock"]) writeFileSync(join(dir, name), "");
  const tool = installFakeTool(dir);
  tool.write({ devices: { wg1: device, wg0: device } });
  const options = { clock, runtimeDirs: [join(dir, "none"), dir], wgCommand: tool.command };
  assert.deepEqual(await listDevices(options, signal), ["utun4", "wg0", "wg1"]);
  assert.deepEqual(
    tool.read().calls.map(({ args }) => args),
    [["show", "interfaces"]],
  );
});

test("listDevices does without wg(8) when a socket is there, and says that it is missing otherwise", async () => {
  const dir = createTestDir();
  const options = { clock, runtimeDirs: [dir], wgCommand: join(dir, "no-wg") };
  await assert.rejects(listDevices(options, signal), { code: "WG_TOOL_MISSING", message: /install wireguard-tools/ });
  writeFileSync(join(dir, "wg0.sock"), "");
  assert.deepEqual(await listDevices(options, signal), ["wg0"]);
});

test("listDevices says that a directory may not be looked into only when nothing was found", async () => {
  const dir = createTestDir();
  const closed = join(dir, "closed");
  // A file in the place of a directory is no directory; a name that is too long is an error for root too.
  mkdirSync(closed);
  const unreadable = join(closed, "x".repeat(300));
  const tool = installFakeTool(dir);
  const options = { clock, runtimeDirs: [unreadable], wgCommand: tool.command };
  await assert.rejects(listDevices(options, signal), { code: "PERMISSION_DENIED", message: /run as root/ });
  tool.write({ devices: { wg0: device } });
  assert.deepEqual(await listDevices(options, signal), ["wg0"]);
});

test("listDevices says when wg(8) fails, and stops when it is told to", async () => {
  const dir = createTestDir();
  const tool = installFakeTool(dir);
  const options = { clock, runtimeDirs: [], wgCommand: tool.command };
  assert.deepEqual(await listDevices(options, signal), []);
  tool.write({ misbehaviour: { kind: "fail", stderr: "no", exitCode: 3 } });
  await assert.rejects(listDevices(options, signal), { code: "WG_FAILED", message: /status 3/ });
  const stopped = AbortSignal.abort();
  await assert.rejects(listDevices(options, stopped), { name: "AbortError" });
});
