/** A Redis server as far as the plugin knows one: RESP2 on a loopback port, values in memory, publish and subscribe. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";

interface Command {
  readonly command: string;
  readonly args: readonly string[];
}

export interface FakeRedis {
  readonly url: string;
  /** How many connections there were, and how many there are. */
  readonly connections: number;
  readonly open: number;
  /** Channels that are subscribed to. */
  readonly subscriptions: number;
  /** Names of all commands so far. */
  readonly commands: readonly string[];
}

interface FakeRedisOptions {
  /** What is sent instead of the proper reply; "close" ends the connection, undefined is the proper reply. */
  readonly answer?: (command: Command) => string | undefined;
}

export async function startFakeRedis(t: TestContext, { answer }: FakeRedisOptions = {}): Promise<FakeRedis> {
  const values = new Map<string, string>();
  const subscribers = new Map<Socket, Set<string>>();
  const commands: string[] = [];
  let connections = 0;

  function perform({ command, args }: Command, socket: Socket): string {
    const [first = "", second = ""] = args;
    switch (command) {
      case "AUTH":
      case "SELECT":
        return "+OK\r\n";
      case "PING":
        return subscribers.get(socket)?.size ? "*2\r\n$4\r\npong\r\n$0\r\n\r\n" : "+PONG\r\n";
      case "GETRANGE":
        return bulk(values.get(first) ?? "");
      case "SET":
        values.set(first, second);
        return "+OK\r\n";
      case "PUBLISH": {
        const listeners = [...subscribers].filter(([, channels]) => channels.has(first));
        for (const [listener] of listeners) listener.write(`*3\r\n${bulk("message")}${bulk(first)}${bulk(second)}`);
        return `:${listeners.length}\r\n`;
      }
      case "SUBSCRIBE":
        return args
          .map((channel, index) => {
            subscribers.get(socket)?.add(channel);
            return `*3\r\n${bulk("subscribe")}${bulk(channel)}:${index + 1}\r\n`;
          })
          .join("");
      default:
        return `-ERR unknown command '${command}'\r\n`;
    }
  }

  const server = createServer((socket) => {
    connections++;
    socket.setNoDelay(true);
    subscribers.set(socket, new Set());
    let received = "";
    let queue: Command[] | undefined;
    socket.on("error", () => undefined);
    socket.on("close", () => subscribers.delete(socket));
    socket.on("data", (chunk) => {
      received += chunk.toString("latin1");
      for (let found = takeCommand(received); found; found = takeCommand(received)) {
        received = received.slice(found.length);
        commands.push(found.command);
        const special = answer?.(found);
        if (special === "close") socket.destroy();
        else socket.write(special ?? reply(found), "latin1");
      }
    });
    function reply(command: Command): string {
      if (command.command === "MULTI") {
        queue = [];
        return "+OK\r\n";
      }
      if (command.command === "EXEC" && queue) {
        const results = queue.map((queued) => perform(queued, socket));
        queue = undefined;
        return `*${results.length}\r\n${results.join("")}`;
      }
      if (!queue) return perform(command, socket);
      queue.push(command);
      return "+QUEUED\r\n";
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    for (const socket of subscribers.keys()) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    commands,
    get connections() {
      return connections;
    },
    get open() {
      return subscribers.size;
    },
    get subscriptions() {
      return [...subscribers.values()].reduce((total, { size }) => total + size, 0);
    },
  };
}

/** Everything is latin1, so that bytes and characters are the same. */
function bulk(text: string): string {
  return `$${text.length}\r\n${text}\r\n`;
}

function takeCommand(text: string): (Command & { readonly length: number }) | undefined {
  const count = /^\*(\d+)\r\n/.exec(text);
  if (!count) return undefined;
  const args: string[] = [];
  let at = count[0].length;
  for (let index = 0; index < Number(count[1]); index++) {
    const length = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20));
    if (!length) return undefined;
    at += length[0].length;
    if (text.length < at + Number(length[1]) + 2) return undefined;
    args.push(text.slice(at, at + Number(length[1])));
    at += Number(length[1]) + 2;
  }
  const [command = "", ...rest] = args;
  return { command, args: rest, length: at };
}
