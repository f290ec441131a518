/** Talks to a running daemon over its control socket (server.ts). */
import type { IncomingMessage } from "node:http";
import type { Clock } from "../clock.ts";
import { withDeadline } from "../deadline.ts";
import { StunmeshError } from "../errors.ts";

/** Of one request; reloading waits for stores and devices. */
const TIMEOUT_MS = 60_000;
/** The status of 1,000 peers has a megabyte. */
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

export interface ControlClient {
  readonly path: string;
  /** Resolves with the body of the answer. Throws what the daemon refuses, CONTROL_UNAVAILABLE, PERMISSION_DENIED, TIMEOUT. */
  ask(method: "GET" | "POST", target: string): Promise<string>;
  /** Calls `onEvent` with each event, a line of JSON, until the daemon ends or the signal is aborted. Throws as ask() does. */
  follow(onEvent: (line: string) => void): Promise<void>;
}

export interface ClientOptions {
  /** Of the control socket. */
  readonly path: string;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

export function createControlClient({ path, clock, signal }: ClientOptions): ControlClient {
  async function request(method: string, target: string, stop: AbortSignal): Promise<IncomingMessage> {
    const { request: send } = await import("node:http");
    return new Promise((resolve, reject) => {
      const outgoing = send({ socketPath: path, method, path: target, signal: stop, agent: false });
      outgoing.once("response", resolve);
      outgoing.once("error", (error) => reject(stop.aborted ? stop.reason : explain(error, path)));
      outgoing.end();
    });
  }

  return {
    path,
    ask: (method, target) =>
      withDeadline({ clock, timeoutMs: TIMEOUT_MS, signal, action: "ask the daemon" }, async (stop) => {
        const response = await request(method, target, stop);
        const body = await readAll(response);
        if ((response.statusCode ?? 0) >= 300) throw refusal(body);
        return body;
      }),
    async follow(onEvent) {
      const response = await request("GET", "/v1/events", signal);
      if (response.statusCode !== 200) throw refusal(await readAll(response));
      let rest = "";
      try {
        for await (const chunk of response.setEncoding("utf8")) {
          const lines = `${rest}${chunk}`.split("\n");
          rest = lines.pop() ?? "";
          for (const line of lines) onEvent(line);
        }
      } catch (cause) {
        signal.throwIfAborted();
        throw new StunmeshError("CONTROL_UNAVAILABLE", `Cannot follow the daemon at "${path}": it has ended`, {
          cause,
        });
      }
    },
  };
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES)
      throw new StunmeshError("CONTROL_UNAVAILABLE", "Cannot ask the daemon: its answer has no end");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** What the daemon says is wrong. */
function refusal(body: string): Error {
  const { code, message } = parseError(body);
  const exact = code === "NOT_FOUND" || code === "AMBIGUOUS" ? "USAGE" : "CONTROL_UNAVAILABLE";
  return new StunmeshError(code === "CONFIG_INVALID" ? "CONFIG_INVALID" : exact, `The daemon refuses: ${message}`);
}

function parseError(body: string): { readonly code: string; readonly message: string } {
  try {
    const { error } = JSON.parse(body);
    return { code: String(error.code), message: String(error.message) };
  } catch {
    // Something else listens there.
    return { code: "", message: `it answers "${body.slice(0, 100).replace(/[^\x20-\x7e]/g, "?")}"` };
  }
}

function explain(error: NodeJS.ErrnoException, path: string): StunmeshError {
  if (error.code === "EACCES" || error.code === "EPERM") {
    return new StunmeshError(
      "PERMISSION_DENIED",
      `Cannot ask the daemon: "${path}" is for its owner and its group only; use sudo, or set control.group to a group of yours`,
      { cause: error },
    );
  }
  const missing =
    error.code === "ENOENT"
      ? "there is no such socket"
      : error.code === "ECONNREFUSED"
        ? "nobody listens"
        : error.message;
  return new StunmeshError(
    "CONTROL_UNAVAILABLE",
    `Cannot ask the daemon: none answers at "${path}" (${missing}). Start it with "systemctl start stunmesh-ts" or ` +
      '"stunmesh-ts run"; if it runs, give the path it has in control.socket with --socket PATH',
    { cause: error },
  );
}
