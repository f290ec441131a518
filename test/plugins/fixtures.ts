/** Paths of the test programs, and what opening a plugin in a test takes. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { systemClock } from "../../src/clock.ts";

/** The root of the repository, seen from the compiled test. */
export const repository = fileURLToPath(new URL("../../../", import.meta.url));
export const pluginContext = { name: "mine", clock: systemClock };

/** Path of a test program. */
export function fixture(name: string): string {
  return join(repository, "test/fixtures/plugins", name);
}

/** A directory that is removed after the test. */
export async function temporaryDirectory(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "stunmesh-test-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}
