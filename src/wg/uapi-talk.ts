/**
 * One request and its answer over the unix socket of a userspace WireGuard daemon
 * (https://www.wireguard.com/xplatform/, unix(7)). A connection lives for one request and is always destroyed.
 */
import { createConnection, type Socket } from "node:net";
import { StunmeshError } from "../errors.ts";
import { type ByteCollector, createByteCollector, MAX_REPLY_BYTES } from "./collect.ts";
import { invalidReply } from "./field.ts";

interface TalkOptions {
  /** Name of the interface, for messages. */
  readonly name: string;
  readonly request: string;
  readonly signal: AbortSignal;
}

const NEWLINE = 0x0a;

/** No file, a file of a daemon that died, something that is no socket: the device is not here. */
const notThere: ReadonlySet<unknown> = new Set(["ENOENT", "ENOTDIR", "ECONNREFUSED", "ENOTSOCK", "EPROTOTYPE"]);
const forbidden: ReadonlySet<unknown> = new Set(["EACCES", "EPERM"]);
const closed: ReadonlySet<unknown> = new Set(["ECONNRESET", "EPIPE"]);

/**
 * Sends `request` to the socket at `path` and collects what comes back up to the empty line that ends it; undefined
 * when no daemon listens there. Throws PERMISSION_DENIED, WG_REPLY_INVALID (no end, too long) or WG_FAILED; rejects with
 * the signal's reason when aborted.
 */
export async function talk(path: string, { name, request, signal }: TalkOptions): Promise<ByteCollector | undefined> {
  signal.throwIfAborted();
  const socket = createConnection(path);
  const reply = createByteCollector(MAX_REPLY_BYTES);
  const destroy = () => socket.destroy();
  signal.addEventListener("abort", destroy, { once: true });
  try {
    socket.write(request);
    const why = await receive(socket, reply);
    signal.throwIfAborted();
    if (why !== undefined) throw invalidReply(name, why);
    return reply;
  } catch (error) {
    reply.wipe();
    signal.throwIfAborted();
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (notThere.has(code)) return undefined;
    throw error instanceof StunmeshError ? error : talkError(error, { code, name, path });
  } finally {
    signal.removeEventListener("abort", destroy);
    socket.destroy();
  }
}

/** Resolves at the end of the answer, or with what is wrong with it. Rejects with the socket's error. */
function receive(socket: Socket, reply: ByteCollector): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    let lastByte: number | undefined;
    socket.on("error", reject);
    socket.on("close", () => resolve("the answer ended early"));
    socket.on("data", (chunk: Buffer) => {
      const isEnd = chunk.includes("\n\n") || (lastByte === NEWLINE && chunk[0] === NEWLINE);
      lastByte = chunk.at(-1);
      if (!reply.push(chunk)) resolve(`the answer is longer than ${MAX_REPLY_BYTES} bytes`);
      else if (isEnd) resolve(undefined);
    });
  });
}

interface Context {
  readonly code: unknown;
  readonly name: string;
  readonly path: string;
}

function talkError(cause: unknown, { code, name, path }: Context): StunmeshError {
  if (closed.has(code)) {
    return new StunmeshError("WG_REPLY_INVALID", `Cannot read WireGuard interface "${name}": the answer ended early`, {
      cause,
    });
  }
  if (forbidden.has(code)) {
    return new StunmeshError(
      "PERMISSION_DENIED",
      `Cannot use WireGuard interface "${name}": no right to connect to "${path}"; run as root or as the owner of that socket`,
      { cause },
    );
  }
  return new StunmeshError("WG_FAILED", `Cannot use WireGuard interface "${name}": no connection to "${path}"`, {
    cause,
  });
}
