/**
 * WireGuard in the kernel (Linux, FreeBSD), by the command wg(8) of wireguard-tools. It sees userspace daemons as well.
 */
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import type { WireGuardBackend } from "./backend.ts";
import { MAX_REPLY_BYTES } from "./collect.ts";
import { createDevice } from "./device.ts";
import { invalidReply } from "./field.ts";
import { formatPublicKey } from "./key.ts";
import { decodeDump } from "./tool-decode.ts";
import { encodeSetEndpoints, encodeShow } from "./tool-encode.ts";
import { isDeviceMissing, spawnError, toolError } from "./tool-failure.ts";
import { runTool, type ToolResult } from "./tool-run.ts";
import { findSystemName } from "./uapi-path.ts";

const TIMEOUT_MS = 10_000;

interface ToolOptions {
  readonly clock: Clock;
  /** Name or path of wg(8). */
  readonly command: string;
  /** Where wg-quick(8) writes down what it called an interface on macOS. */
  readonly runtimeDirs: readonly string[];
}

interface Call {
  readonly name: string;
  readonly verb: string;
  readonly args: readonly string[];
  readonly signal: AbortSignal;
}

/** Makes the backend for wg(8). */
export function createToolBackend({ clock, command, runtimeDirs }: ToolOptions): WireGuardBackend {
  async function run({ name, verb, args, signal }: Call): Promise<ToolResult> {
    const action = `${verb} WireGuard interface "${name}"`;
    return withDeadline({ clock, timeoutMs: TIMEOUT_MS, signal, action }, async (stop) => {
      try {
        return await runTool(command, { args, signal: stop });
      } catch (error) {
        stop.throwIfAborted();
        throw spawnError(error, command, { name, verb });
      }
    });
  }

  return {
    async readDevice(configured, signal) {
      const verb = "read";
      const name = await findSystemName(configured, runtimeDirs);
      const result = await run({ name, verb, args: encodeShow(name), signal });
      const { stdout, exitCode, stderr, isTooLong } = result;
      try {
        if (isTooLong) throw invalidReply(name, `the output of wg(8) is longer than ${MAX_REPLY_BYTES} bytes`);
        if (exitCode !== 0 && isDeviceMissing(stderr)) return undefined;
        if (exitCode !== 0) throw toolError(result, { name, verb, publicKeys: [] });
        return createDevice(
          name,
          stdout.use((bytes) => decodeDump(bytes, name)),
        );
      } finally {
        stdout.wipe();
      }
    },
    async writeEndpoints(configured, updates, signal) {
      const name = await findSystemName(configured, runtimeDirs);
      const verb = "set endpoints on";
      for (const args of encodeSetEndpoints(name, updates)) {
        const result = await run({ name, verb, args, signal });
        result.stdout.wipe();
        const publicKeys = updates.map(({ publicKey }) => formatPublicKey(publicKey));
        if (result.exitCode !== 0) throw toolError(result, { name, verb, publicKeys });
      }
    },
  };
}
