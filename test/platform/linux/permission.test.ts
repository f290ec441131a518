import assert from "node:assert/strict";
import { test } from "node:test";
import { runNode } from "../run-node.ts";

/** Runs a command without any capability; whoever is not root has none already. */
const withoutCapabilities = process.getuid?.() === 0 ? ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] : [];
const source = new URL("../../../src/", import.meta.url).href;

async function openUnprivileged(call: string): Promise<{ code: string; message: string; descriptors: number }> {
  const { stdout, stderr } = await runNode(
    `
      import { readdirSync } from "node:fs";
      import { systemClock } from "${source}clock.js";
      import { openPlatform } from "${source}platform/index.js";
      import { loadLibc } from "${source}platform/native/libc.js";
      const platform = await openPlatform({ clock: systemClock, platform: "linux" });
      await loadLibc();
      const before = readdirSync("/proc/self/fd").length;
      const { code, message } = await ${call}.catch((error) => error);
      const descriptors = readdirSync("/proc/self/fd").length - before;
      process.stdout.write(JSON.stringify({ code, message, descriptors }));
    `,
    withoutCapabilities,
  );
  assert.equal(stderr, "");
  return JSON.parse(stdout);
}

test("openProbeSocket without CAP_NET_RAW says in one line what is missing and how to grant it", async () => {
  const { code, message, descriptors } = await openUnprivileged(`platform.openProbeSocket({
    family: "ipv4", localPort: 51820, firewallMark: 0, interfaces: [], excludeInterface: "wg0",
    match: { offset: 4, value: 0x2112a442 }, onDatagram() {},
  })`);
  assert.equal(code, "PERMISSION_DENIED");
  assert.match(message, /^Cannot open a raw UDP socket: EPERM \(socket: operation not permitted\): .*CAP_NET_RAW; /);
  assert.match(message, /run as root, or with "AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN"/);
  assert.ok(!message.includes("\n"));
  assert.equal(descriptors, 0);
});

test("openPinger without CAP_NET_RAW says so too", async () => {
  const { code, message, descriptors } = await openUnprivileged(
    `platform.openPinger({ family: "ipv6", interface: "lo" })`,
  );
  assert.equal(code, "PERMISSION_DENIED");
  assert.match(message, /^Cannot open a raw ICMP socket on "lo": EPERM \(socket: .*CAP_NET_RAW; /);
  assert.equal(descriptors, 0);
});
