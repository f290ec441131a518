/**
 * WireGuard in userspace (wireguard-go): the socket its daemon listens on, by the cross-platform protocol
 * (https://www.wireguard.com/xplatform/).
 */
import { getSystemErrorName } from "node:util";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { StunmeshError } from "../errors.ts";
import type { WireGuardBackend } from "./backend.ts";
import { createDevice } from "./device.ts";
import { decodeReply, type UapiReply } from "./uapi-decode.ts";
import { encodeSetEndpoints, getRequest } from "./uapi-encode.ts";
import { findUapiPaths } from "./uapi-path.ts";
import { talk } from "./uapi-talk.ts";

const TIMEOUT_MS = 5000;

interface UapiOptions {
  readonly clock: Clock;
  /** Directories of the sockets, the one to ask first first. */
  readonly runtimeDirs: readonly string[];
}

interface Answer extends UapiReply {
  /** The name that the operating system knows. */
  readonly name: string;
}

/** Makes the backend for userspace daemons. */
export function createUapiBackend({ clock, runtimeDirs }: UapiOptions): WireGuardBackend {
  /** The answer of the first daemon there is; undefined when there is none. */
  async function ask(name: string, request: string, signal: AbortSignal): Promise<Answer | undefined> {
    for (const place of await findUapiPaths(name, runtimeDirs)) {
      const reply = await talk(place.path, { name, request, signal });
      if (reply) return { name: place.name, ...reply.use((bytes) => decodeReply(bytes, name)) };
    }
    return undefined;
  }

  return {
    async readDevice(name, signal) {
      const action = `read WireGuard interface "${name}"`;
      const answer = await withDeadline({ clock, timeoutMs: TIMEOUT_MS, signal, action }, (stop) =>
        ask(name, getRequest, stop),
      );
      if (!answer) return undefined;
      assertDone(answer.errno, action);
      return createDevice(answer.name, answer.device);
    },
    async writeEndpoints(name, updates, signal) {
      const action = `set endpoints on WireGuard interface "${name}"`;
      const answer = await withDeadline({ clock, timeoutMs: TIMEOUT_MS, signal, action }, (stop) =>
        ask(name, encodeSetEndpoints(updates), stop),
      );
      if (!answer) throw new StunmeshError("WG_DEVICE_NOT_FOUND", `Cannot ${action}: it went away`);
      assertDone(answer.errno, action);
    },
  };
}

/** wireguard-go answers with negative numbers, others with positive ones. */
function assertDone(errno: number, action: string): void {
  if (errno === 0) return;
  throw new StunmeshError("WG_FAILED", `Cannot ${action}: its daemon answered ${errorName(errno)}`);
}

function errorName(errno: number): string {
  const name = getSystemErrorName(-Math.abs(errno));
  return name.startsWith("Unknown") ? `errno ${Math.abs(errno)}` : name;
}
