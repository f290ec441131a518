import assert from "node:assert/strict";
import { test } from "node:test";
import type { Koffi } from "../../../src/platform/native/koffi.ts";
import { openLibrary, type PcapSystem, pcapLibraries } from "../../../src/platform/native/libpcap.ts";

test("libpcap is looked for under the names each system gives it", () => {
  const names = Object.fromEntries(Object.entries(pcapLibraries).map(([system, { names }]) => [system, names]));
  assert.deepEqual(names, {
    linux: ["libpcap.so.1", "libpcap.so.0.8", "libpcap.so"],
    freebsd: ["libpcap.so.8", "libpcap.so"],
    darwin: ["/usr/lib/libpcap.A.dylib", "libpcap.dylib"],
  });
});

for (const system of ["linux", "freebsd", "darwin"] as const satisfies readonly PcapSystem[]) {
  test(`without libpcap on ${system} the error says what was tried and what to do`, () => {
    const tried: string[] = [];
    const koffi = {
      load(name: string) {
        tried.push(name);
        throw new Error(`${name}: cannot open shared object file`);
      },
    } as unknown as Koffi;
    const { names, install } = pcapLibraries[system];
    assert.throws(() => openLibrary(koffi, system), {
      code: "NATIVE_UNAVAILABLE",
      message: `Cannot load libpcap: found none of ${names.map((name) => `"${name}"`).join(", ")}; ${install}`,
    });
    assert.deepEqual(tried, names);
  });
}
