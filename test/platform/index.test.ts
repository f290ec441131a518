import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { openPlatform } from "../../src/platform/index.ts";

test("openPlatform opens Linux", async () => {
  const { name } = await openPlatform({ clock: systemClock, platform: "linux" });
  assert.equal(name, "linux");
});

test("openPlatform refuses what is not supported, naming it", async () => {
  await assert.rejects(openPlatform({ clock: systemClock, platform: "sunos", arch: "x64" }), {
    code: "PLATFORM_UNSUPPORTED",
    message: "Cannot run on sunos (x64): only Linux is supported",
  });
});
