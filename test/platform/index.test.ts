import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/clock.ts";
import { openPlatform } from "../../src/platform/index.ts";

for (const platform of ["linux", "freebsd", "darwin"] as const) {
  test(`openPlatform opens ${platform} on x64 and arm64`, async () => {
    for (const arch of ["x64", "arm64"] as const) {
      assert.equal((await openPlatform({ clock: systemClock, platform, arch })).name, platform);
    }
  });
}

test("openPlatform opens Linux wherever it runs", async () => {
  assert.equal((await openPlatform({ clock: systemClock, platform: "linux", arch: "riscv64" })).name, "linux");
});

test("openPlatform refuses what is not supported, naming it and what is", async () => {
  for (const [platform, arch] of [
    ["sunos", "x64"],
    ["openbsd", "x64"],
    ["win32", "x64"],
    ["freebsd", "ppc64"],
    ["darwin", "ia32"],
  ] as const) {
    await assert.rejects(openPlatform({ clock: systemClock, platform, arch }), {
      code: "PLATFORM_UNSUPPORTED",
      message: `Cannot run on ${platform} (${arch}): supported are Linux, and FreeBSD and macOS on x64 and arm64`,
    });
  }
});

for (const platform of ["freebsd", "darwin"] as const) {
  test(`openProbeSocket of ${platform} refuses to listen by a raw socket, saying what to configure`, async () => {
    const { openProbeSocket } = await openPlatform({ clock: systemClock, platform, arch: "x64" });
    const options = {
      family: "ipv4",
      localPort: 51820,
      firewallMark: 0,
      capture: "raw",
      interfaces: [],
      listenDefaultRoute: false,
      excludeInterface: "wg0",
      match: { offset: 4, value: 0 },
      onDatagram: () => undefined,
    } as const;
    await assert.rejects(openProbeSocket(options), { code: "PLATFORM_UNSUPPORTED", message: /"capture" to "auto"/ });
  });
}
